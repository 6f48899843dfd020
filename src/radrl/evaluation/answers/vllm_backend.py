"""Completions with vLLM: the same prompts, pictures and settings as with transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import ProcessorMixin

from radrl.errors import UserError, one_line
from radrl.evaluation.answers.asked_examples import AskedExamples
from radrl.evaluation.answers.backend import Ask, Completion, Done
from radrl.evaluation.answers.decoding import Decoding, case_seed
from radrl.evaluation.answers.model_folder import folder_header, read_folder
from radrl.evaluation.answers.model_settings import PixelBounds
from radrl.evaluation.answers.sources import Source
from radrl.images.sizes import box_size, image_resizing
from radrl.models import adapters
from radrl.models.inputs import prompt_text
from radrl.models.processor import resized
from radrl.prompt.messages import PromptStyle
from radrl.recipe.schema import Recipe

AT_ONCE = 512  # requests handed over together: vLLM batches them, and so many at most are asked again after a stop
TAKEN = ("min_p",)  # of Decoding.more


class VllmBackend:
    """A whole model's folder or hub id, asked with vLLM. See `backend.Backend`."""

    def __init__(self, recipe: Recipe, source: Source, examples: AskedExamples) -> None:
        self.start, self.dtype, self.examples = source.start, recipe.model.dtype, examples
        self.options = recipe.evaluation.vllm
        self.folder = read_folder(recipe, source)
        check(source.start, self.folder.decoding, source.option)
        self.header = folder_header(recipe, source, examples, self.folder, "vllm", "vllm")

    def answer(self, asks: Sequence[Ask], done: Done) -> None:
        folder = self.folder
        folder.check_template(self.examples, asks[0][0])
        generate(
            self.start,
            folder.processor,
            self.examples,
            folder.style,
            folder.decoding,
            asks,
            done,
            dtype=self.dtype,
            options=self.options,
            ends=folder.end_tokens,
            bounds=folder.bounds,
        )


def check(start: str, decoding: Decoding, where: str) -> None:
    """Raises UserError where a model's own settings hold one that vLLM does not have, or it is an adapter alone."""
    if adapters.base_of(start) is not None:
        raise UserError(f"{where}: an adapter's folder; vLLM needs a whole model: merge it (docs/training.md, LoRA)")
    for name in decoding.more:
        if name not in TAKEN:
            raise UserError(
                f"{where}: its generation_config sets {name}, which vLLM does not take; set 'evaluation.backend: "
                "transformers' or 'evaluation.generation_config: recipe'"
            )


def generate(
    start: str,
    processor: ProcessorMixin,
    examples: AskedExamples,
    style: PromptStyle,
    decoding: Decoding,
    todo: Sequence[Ask],
    done: Done,
    *,
    dtype: str = "auto",
    options: Mapping[str, Any] | None = None,
    ends: Sequence[int] = (),
    bounds: PixelBounds | None = None,
) -> None:
    """Answers ``todo`` with vLLM: our prompt text, pictures resized as in training, a seed for each sample.

    ``options`` are arguments of ``vllm.LLM``; ``ends`` are the tokens that end a completion, which vLLM mostly knows;
    ``bounds`` are min_pixels and max_pixels where they are not the folder's own (None).

    Raises:
        UserError: vLLM is not installed, or does not take the options or the model.
    """
    try:
        from vllm import LLM, SamplingParams  # pyright: ignore[reportMissingImports]  # an optional package
    except ImportError:
        raise UserError("'evaluation.backend: vllm' needs vLLM: pip install vllm (a GPU machine)") from None
    pictures = max((len(examples[i].images) for i, _ in todo), default=1)
    arguments: dict[str, Any] = {"dtype": dtype, "limit_mm_per_prompt": {"image": pictures, "video": 0}}
    arguments["generation_config"] = "vllm"  # else the folder's settings are the defaults of a request
    if own_bounds := {name: bound for name, bound in (bounds or {}).items() if bound is not None}:
        arguments["mm_processor_kwargs"] = own_bounds
    try:
        llm = LLM(model=start, **{**arguments, **(options or {})})
    except (TypeError, ValueError) as error:
        raise UserError(one_line(f"{start}: vLLM refuses it ({str(error)[:300]}); see 'evaluation.vllm'")) from None
    same = _sampling(decoding, ends)
    for first in range(0, len(todo), AT_ONCE):
        asks = todo[first : first + AT_ONCE]
        prompts = [_prompt(processor, examples, style, i) for i, _ in asks]
        seeds = [case_seed(decoding.seed, examples[i].id, sample) for i, sample in asks]
        outputs = llm.generate(prompts, [SamplingParams(**same, seed=seed) for seed in seeds], use_tqdm=False)
        texts = [output.outputs[0] for output in outputs]
        done([Completion(*ask, one.text, len(one.token_ids)) for ask, one in zip(asks, texts, strict=True)])


def _sampling(decoding: Decoding, ends: Sequence[int]) -> dict[str, Any]:
    """Returns the arguments of ``vllm.SamplingParams`` that are the same in every request."""
    return {
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


def _prompt(processor: ProcessorMixin, examples: AskedExamples, style: PromptStyle, index: int) -> dict[str, Any]:
    """Returns one Example as vLLM takes it: the prompt's text, and its pictures resized as in training."""
    images = image_resizing(processor.image_processor)
    size = box_size(examples, index, style, images)
    prompt: dict[str, Any] = {"prompt": prompt_text(processor, examples[index], style, size)}
    if examples[index].images:
        pictures = [resized(processor.image_processor, picture) for picture in examples.pictures(index)]
        prompt["multi_modal_data"] = {"image": pictures}
    return prompt
