"""Completions of a model for Examples with transformers: the same prompts, resizing and parsing as in training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    PreTrainedModel,
    ProcessorMixin,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from radrl.evaluation.answers.asked_examples import AskedExamples
from radrl.evaluation.answers.backend import Ask, Completion, Done
from radrl.evaluation.answers.decoding import Decoding, case_seed, stop_at
from radrl.evaluation.answers.model_folder import folder_header, read_folder
from radrl.evaluation.answers.sources import Source
from radrl.images.sizes import box_size, image_resizing
from radrl.models.inputs import prompt_inputs, prompt_text
from radrl.models.loading import end_tokens, load, own_settings_off
from radrl.models.sampling import draw
from radrl.prompt.messages import PromptStyle
from radrl.recipe.schema import Recipe

NARROWING = {"min_p": MinPLogitsWarper, "typical_p": TypicalLogitsWarper}  # of Decoding.more; the rest act on logits


class TransformersBackend:
    """A model folder or hub id, asked with transformers; on the GPU where there is one. See `backend.Backend`."""

    def __init__(self, recipe: Recipe, source: Source, examples: AskedExamples) -> None:
        self.start, self.dtype, self.examples = source.start, recipe.model.dtype, examples
        self.folder = read_folder(recipe, source)
        self.header = folder_header(recipe, source, examples, self.folder, "transformers")

    def answer(self, asks: Sequence[Ask], done: Done) -> None:
        folder = self.folder
        folder.check_template(self.examples, asks[0][0])
        generate(self.model, folder.processor, self.examples, folder.style, folder.decoding, asks, done)

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model with its weights, loaded when first asked for and kept as long as the backend. Raises UserError."""
        model, _ = load(self.start, dtype=self.dtype, **self.folder.bounds)
        if torch.cuda.is_available():
            model.to("cuda")  # pyright: ignore[reportArgumentType]  # transformers wraps torch's method
        return model


@torch.no_grad()  # not inference_mode: what a model in training keeps of it (FSDP's weights) goes into its gradients
def generate(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: AskedExamples,
    style: PromptStyle,
    decoding: Decoding,
    todo: Sequence[Ask],
    done: Done,
    *,
    all_ranks_together: bool = False,
) -> None:
    """Answers ``todo`` with transformers, by the settings of ``decoding`` and none of the model's own. torch's random
    state is left as it was. With ``all_ranks_together`` every process makes as many calls of the model as the longest
    completion of all needs: each holds a part of the weights, and has as many of ``todo``."""
    # Tasks of one kind together: their completions are about equally long, so little is decoded past the end.
    images = image_resizing(processor.image_processor)
    length = {
        i: len(prompt_text(processor, examples[i], style, box_size(examples, i, style, images)))
        for i in {i for i, _ in todo}
    }
    order = sorted(todo, key=lambda ask: (examples[ask[0]].task, length[ask[0]]))
    config = _config(model, processor, decoding)
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
            processors = LogitsProcessorList()
            if decoding.repetition_penalty != 1:
                processors.append(Penalty(float(decoding.repetition_penalty), inputs["attention_mask"]))
            if decoding.temperature > 0:
                seeds = [case_seed(decoding.seed, examples[i].id, sample) for i, sample in rows]
                processors.append(Draws(decoding, seeds, prompt))
            stops = StopTexts(processor.tokenizer, decoding, prompt, len(rows))
            with own_settings_off(model):
                output = model.generate(  # pyright: ignore[reportCallIssue]  # of GenerationMixin, which every model has
                    **inputs,
                    generation_config=config,
                    logits_processor=processors,
                    stopping_criteria=StoppingCriteriaList([stops] if decoding.stop else []),
                    synced_gpus=all_ranks_together,
                )
            new = output[:, prompt:].cpu()
            done([Completion(*rows[k], *stops.read(new[k], k, config.eos_token_id)) for k in range(len(rows))])
    finally:
        model.train(was_training)


def _config(model: PreTrainedModel, processor: ProcessorMixin, decoding: Decoding) -> GenerationConfig:
    """Returns what transformers itself does: it picks the largest logit, which is the drawn one where one is drawn."""
    ends = end_tokens(model.generation_config, processor.tokenizer)
    pads = (model.generation_config.pad_token_id, processor.tokenizer.pad_token_id, *ends)
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=decoding.max_new_tokens,
        min_new_tokens=decoding.min_new_tokens or None,
        eos_token_id=ends,
        pad_token_id=next(pad for pad in pads if pad is not None),
        use_cache=True,
        **{name: value for name, value in decoding.more.items() if name not in NARROWING},
    )


class Penalty(RepetitionPenaltyLogitsProcessor):
    """transformers' repetition penalty over prompt and completion, not over the padding: else a row's completion would
    depend on how long the others of its batch are. ``mask`` (B, P) is 0 where a prompt is padded on its left."""

    def __init__(self, penalty: float, mask: torch.Tensor) -> None:
        super().__init__(penalty=penalty)
        self.padding = mask == 0

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:  # (B, T), (B, V)
        prompt = self.padding.shape[1]
        last = input_ids[:, prompt - 1 : prompt]  # it is there once more: to be there twice changes nothing
        kept = torch.where(self.padding, last, input_ids[:, :prompt])
        every = torch.cat([kept, input_ids[:, prompt:]], 1)
        return super().__call__(cast(torch.LongTensor, every), scores)


class Draws(LogitsProcessor):
    """Samples each row with random numbers of its own and leaves only the drawn token to choose.

    ``generate`` draws all rows of a batch from one stream, so that a completion depends on its batch; here row r's
    token at each step is where the distribution function passes the next uniform number of seed r. Before that,
    temperature, top k, top p and what ``decoding.more`` holds narrow the distribution, in transformers' order.
    """

    def __init__(self, decoding: Decoding, seeds: Sequence[int], prompt: int) -> None:
        self.temperature, self.prompt = decoding.temperature, prompt
        steps = decoding.max_new_tokens
        self.uniform = torch.from_numpy(np.stack([np.random.default_rng(seed).random(steps) for seed in seeds]))
        self.narrow = LogitsProcessorList()
        if decoding.top_k:
            self.narrow.append(TopKLogitsWarper(decoding.top_k))
        if decoding.top_p < 1:
            self.narrow.append(TopPLogitsWarper(decoding.top_p))
        self.narrow.extend(warper(decoding.more[name]) for name, warper in NARROWING.items() if name in decoding.more)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:  # (B, V)
        uniform = self.uniform[:, input_ids.shape[1] - self.prompt].to(scores.device)
        narrowed = self.narrow(input_ids, cast(torch.FloatTensor, scores.double() / self.temperature))
        token = draw(torch.softmax(narrowed, -1), uniform)
        return cast(torch.FloatTensor, torch.full_like(scores, -torch.inf).scatter_(1, token[:, None], 0.0))


class StopTexts(StoppingCriteria):
    """Ends a row whose completion says a stop text after its first ``min_new_tokens`` tokens, and reads completions."""

    def __init__(self, tokenizer: Any, decoding: Decoding, prompt: int, rows: int) -> None:
        self.tokenizer, self.stop, self.least, self.prompt = tokenizer, decoding.stop, decoding.min_new_tokens, prompt
        # every token but the special ones, which are not in the text, has a byte at least
        self.tail = max((len(text.encode()) for text in self.stop), default=0) + 8
        self.length: list[int | None] = [None] * rows  # in tokens, of those that said a stop text

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **_: Any) -> torch.BoolTensor:
        new = input_ids[:, self.prompt :].tolist()
        for row, tokens in enumerate(new):
            if self.length[row] is None and self._stops(tokens[-self.tail :], len(tokens)):
                self.length[row] = len(tokens)
        stopped = torch.tensor([length is not None for length in self.length], device=input_ids.device)
        return cast(torch.BoolTensor, stopped)

    def _stops(self, tail: list[int], length: int) -> bool:
        early = max(0, self.least - (length - len(tail)))  # tokens of the tail that may not end it
        return stop_at(self._text(tail), self.stop, len(self._text(tail[:early]))) is not None

    def _text(self, tokens: Sequence[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True) if tokens else ""

    def read(self, new: torch.Tensor, row: int, ends: Sequence[int]) -> tuple[str, int]:
        """Returns a completion's text, without what ends it, and its length in tokens with the end token."""
        tokens = new.tolist()
        length = next((k + 1 for k, token in enumerate(tokens) if token in ends), len(tokens))
        length = min(length, self.length[row] or length)
        said = tokens[: length - 1] if tokens[length - 1] in ends else tokens[:length]
        text = self._text(said)
        cut = stop_at(text, self.stop, len(self._text(said[: self.least])))
        return text if cut is None else text[:cut], length
