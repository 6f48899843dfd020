"""Completions with vLLM. It needs a GPU machine with vLLM installed; here it is tested against a stand-in only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import ProcessorMixin

from radrl.data.examples import ExampleSet
from radrl.errors import UserError
from radrl.evaluation.decoding import Ask, Decoding, Done, Said, case_seed
from radrl.prompt import PromptStyle
from radrl.training.batch import prompt_text
from radrl.training.processor import resized

AT_ONCE = 512  # requests handed over together: vLLM batches them, and so many at most are asked again after a stop


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
) -> None:
    """Answers ``todo`` with vLLM: our prompt text, pictures resized as in training, a seed for each sample.

    ``options`` are arguments of ``vllm.LLM``.

    Raises:
        UserError: vLLM is not installed, or does not take the options or the model.
    """
    try:
        from vllm import LLM, SamplingParams
    except ImportError:
        raise UserError("'evaluation.backend: vllm' needs vLLM: pip install vllm (a GPU machine)") from None
    size = processor.image_processor.size
    bounds = {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
    pictures = max((len(examples[i].images) for i, _ in todo), default=1)
    given = {"dtype": dtype, "limit_mm_per_prompt": {"image": pictures}, "mm_processor_kwargs": bounds}
    try:
        llm = LLM(model=start, **{**given, **(options or {})})
    except (TypeError, ValueError) as error:
        raise UserError(f"{start}: vLLM refuses it ({str(error)[:300]}); see 'evaluation.vllm'") from None
    for first in range(0, len(todo), AT_ONCE):
        asks = todo[first : first + AT_ONCE]
        prompts, settings = [], []
        for i, sample in asks:
            prompt: dict[str, Any] = {"prompt": prompt_text(processor, examples[i], style)}
            if examples[i].images:
                images = [resized(processor.image_processor, picture) for picture in examples.pictures(i)]
                prompt["multi_modal_data"] = {"image": images}
            prompts.append(prompt)
            seed = case_seed(decoding.seed, examples[i].id, sample)
            settings.append(
                SamplingParams(
                    temperature=decoding.temperature, top_p=1.0, top_k=0, max_tokens=decoding.max_new_tokens, seed=seed
                )
            )
        outputs = llm.generate(prompts, settings, use_tqdm=False)
        found = [output.outputs[0] for output in outputs]
        done([Said(*ask, one.text, len(one.token_ids)) for ask, one in zip(asks, found, strict=True)])
