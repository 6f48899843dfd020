"""Completions of a model for Examples, with transformers: the same prompts, resizing and parsing as in training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import PreTrainedModel, ProcessorMixin

from radrl.data.examples import ExampleSet
from radrl.prompt import PromptStyle
from radrl.training.batch import prompt_inputs, prompt_text


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    style: PromptStyle,
    *,
    max_new_tokens: int,
    batch_size: int = 64,
    temperature: float = 0.0,
    samples: int = 1,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> list[list[str]]:
    """Returns ``samples`` completions for each Example, in the Examples' order.

    ``temperature`` 0 decodes greedily (and then ``samples`` must be 1). Sampling is seeded for the whole call; torch's
    global state is left as it was. ``progress`` is told how many Examples were done.
    """
    if temperature == 0 and samples != 1:
        raise ValueError("greedy decoding gives one completion; ask for a temperature to draw several")
    sampling = (
        {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        if temperature > 0
        else {"do_sample": False, "temperature": None, "top_k": None, "top_p": None}
    )
    # Tasks of one kind together: their completions are about equally long, so little is decoded past the end.
    order = sorted(
        range(len(examples)), key=lambda i: (examples[i].task, len(prompt_text(processor, examples[i], style)))
    )
    completions: list[list[str]] = [[] for _ in range(len(examples))]
    was_training = model.training
    model.eval()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            inputs = prompt_inputs(processor, [examples[i] for i in rows], [examples.pictures(i) for i in rows], style)
            inputs = {key: value.to(model.device) for key, value in inputs.items()}
            output = model.generate(
                **inputs, max_new_tokens=max_new_tokens, num_return_sequences=samples, use_cache=True, **sampling
            )
            new = output[:, inputs["input_ids"].shape[1] :]
            texts = processor.tokenizer.batch_decode(new, skip_special_tokens=True)
            for k, row in enumerate(rows):
                completions[row] = texts[k * samples : (k + 1) * samples]
            if progress:
                progress(len(rows))
    model.train(was_training)
    return completions
