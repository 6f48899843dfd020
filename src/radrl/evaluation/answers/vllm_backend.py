"""Completions with vLLM: the same prompts, pictures and settings as with transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import ProcessorMixin

from radrl.errors import UserError, one_line
from radrl.evaluation.answers.decoding import Ask, Decoding, Done, Said, case_seed
from radrl.images.sizes import box_size, image_facts
from radrl.manifest.example_set import ExampleSet
from radrl.models import adapters
from radrl.models.inputs import prompt_text
from radrl.models.processor import resized
from radrl.prompt.messages import PromptStyle

AT_ONCE = 512  # requests handed over together: vLLM batches them, and so many at most are asked again after a stop
TAKEN = ("min_p",)  # of Decoding.more


def check(start: str, decoding: Decoding, where: str) -> None:
    """Raises UserError where a model's own settings hold one that vLLM does not have, or it is an adapter alone."""
    if adapters.base_of(start) is not None:
        raise UserError(f"{where}: an adapter's folder; vLLM needs a whole model: merge it (docs/recipe.md, LoRA)")
    for name in decoding.more:
        if name not in TAKEN:
            raise UserError(
                f"{where}: its generation_config sets {name}, which vLLM does not take; set 'evaluation.backend: "
                "transformers' or 'evaluation.generation_config: recipe'"
            )


def generate(
    start: str,
    processor: ProcessorMixin,
    examples: ExampleSet,
    style: PromptStyle,
    decoding: Decoding,
    todo: Sequence[Ask],
    done: Done,
    *,
    dtype: str = "auto",
    options: Mapping[str, Any] | None = None,
    ends: Sequence[int] = (),
    bounds: Mapping[str, int] | None = None,
) -> None:
    """Answers ``todo`` with vLLM: our prompt text, pictures resized as in training, a seed for each sample.

    ``options`` are arguments of ``vllm.LLM``; ``ends`` are the tokens that end a completion, which vLLM mostly knows;
    ``bounds`` are min_pixels and max_pixels where they are not the folder's own.

    Raises:
        UserError: vLLM is not installed, or does not take the options or the model.
    """
    try:
        from vllm import LLM, SamplingParams
    except ImportError:
        raise UserError("'evaluation.backend: vllm' needs vLLM: pip install vllm (a GPU machine)") from None
    pictures = max((len(examples[i].images) for i, _ in todo), default=1)
    given: dict[str, Any] = {"dtype": dtype, "limit_mm_per_prompt": {"image": pictures, "video": 0}}
    given["generation_config"] = "vllm"  # else the folder's settings are the defaults of a request
    if bounds:
        given["mm_processor_kwargs"] = dict(bounds)
    try:
        llm = LLM(model=start, **{**given, **(options or {})})
    except (TypeError, ValueError) as error:
        raise UserError(one_line(f"{start}: vLLM refuses it ({str(error)[:300]}); see 'evaluation.vllm'")) from None
    same = {
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "top_k": decoding.top_k,
        "repetition_penalty": decoding.repetition_penalty,
        "max_tokens": decoding.max_new_tokens,
        "min_tokens": decoding.min_new_tokens,
        "stop": list(decoding.stop),
        "stop_token_ids": list(ends),
        **decoding.more,
    }
    images = image_facts(processor.image_processor)
    for first in range(0, len(todo), AT_ONCE):
        asks = todo[first : first + AT_ONCE]
        prompts, settings = [], []
        for i, sample in asks:
            size = box_size(examples, i, style, images)
            prompt: dict[str, Any] = {"prompt": prompt_text(processor, examples[i], style, size)}
            if examples[i].images:
                seen = [resized(processor.image_processor, picture) for picture in examples.pictures(i)]
                prompt["multi_modal_data"] = {"image": seen}
            prompts.append(prompt)
            settings.append(SamplingParams(**same, seed=case_seed(decoding.seed, examples[i].id, sample)))
        outputs = llm.generate(prompts, settings, use_tqdm=False)
        found = [output.outputs[0] for output in outputs]
        done([Said(*ask, one.text, len(one.token_ids)) for ask, one in zip(asks, found, strict=True)])
