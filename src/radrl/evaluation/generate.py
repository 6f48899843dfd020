"""Completions of a model for Examples with transformers: the same prompts, resizing and parsing as in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel, ProcessorMixin

from radrl.data.examples import ExampleSet
from radrl.evaluation.decoding import Ask, Decoding, Done, Said, case_seed
from radrl.prompt import PromptStyle
from radrl.training.batch import prompt_inputs, prompt_text
from radrl.training.rollout import draw


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    style: PromptStyle,
    decoding: Decoding,
    todo: Sequence[Ask],
    done: Done,
) -> None:
    """Answers ``todo`` with transformers. torch's random state is left as it was."""
    # Tasks of one kind together: their completions are about equally long, so little is decoded past the end.
    length = {i: len(prompt_text(processor, examples[i], style)) for i in {i for i, _ in todo}}
    order = sorted(todo, key=lambda ask: (examples[ask[0]].task, length[ask[0]]))
    ends = model.generation_config.eos_token_id
    ends = processor.tokenizer.eos_token_id if ends is None else ends
    ends = torch.tensor(ends if isinstance(ends, list) else [ends])
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(order), decoding.batch_size):
            rows = order[start : start + decoding.batch_size]
            inputs = prompt_inputs(
                processor, [examples[i] for i, _ in rows], [examples.pictures(i) for i, _ in rows], style
            )
            inputs = {key: value.to(model.device) for key, value in inputs.items()}
            prompt = inputs["input_ids"].shape[1]
            draws = LogitsProcessorList()
            if decoding.temperature > 0:
                seeds = [case_seed(decoding.seed, examples[i].id, sample) for i, sample in rows]
                draws.append(Draws(decoding.temperature, seeds, decoding.max_new_tokens, prompt))
            output = model.generate(
                **inputs,
                max_new_tokens=decoding.max_new_tokens,
                use_cache=True,
                logits_processor=draws,
                do_sample=False,
                temperature=None,
                top_k=None,
                top_p=None,
            )
            new = output[:, prompt:].cpu()
            texts = processor.tokenizer.batch_decode(new, skip_special_tokens=True)
            ended = torch.isin(new, ends)
            tokens = torch.where(ended.any(1), ended.int().argmax(1) + 1, new.shape[1]).tolist()
            done([Said(i, sample, *said) for (i, sample), *said in zip(rows, texts, tokens, strict=True)])
    finally:
        model.train(was_training)


class Draws(LogitsProcessor):
    """Samples each row with random numbers of its own and leaves only the drawn token to choose.

    ``generate`` draws all rows of a batch from one stream, so that a completion depends on its batch; here row r's
    token at each step is where the distribution function passes the next uniform number of seed r.
    """

    def __init__(self, temperature: float, seeds: Sequence[int], steps: int, prompt: int) -> None:
        self.temperature, self.prompt = temperature, prompt
        self.uniform = torch.from_numpy(np.stack([np.random.default_rng(seed).random(steps) for seed in seeds]))

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:  # (B, V)
        uniform = self.uniform[:, input_ids.shape[1] - self.prompt].to(scores.device)
        token = draw(torch.softmax(scores.double() / self.temperature, -1), uniform)
        return torch.full_like(scores, -torch.inf).scatter_(1, token[:, None], 0.0)
