"""What is in force for one model of an evaluation: how it is asked, how its completions are decoded, how large its
images are. The recipe's ``evaluation`` section says it for all models, ``evaluation.models.NAME`` for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypedDict

from radrl.errors import UserError, nearest, one_line
from radrl.evaluation.answers.decoding import Decoding
from radrl.evaluation.answers.header import Header
from radrl.images.sizes import QWEN25_FACTOR, QWEN25_MAX_PIXELS, QWEN25_MIN_PIXELS
from radrl.prompt.messages import PromptStyle
from radrl.recipe.schema import Recipe
from radrl.recipe.sections import JudgedModel

if TYPE_CHECKING:
    from transformers import GenerationConfig

# what a folder's generation_config may hold and `evaluation.generation_config: model` takes, by our name for it
OURS = {
    "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "repetition_penalty": "repetition_penalty",
    "max_new_tokens": "max_new_tokens", "min_new_tokens": "min_new_tokens", "stop_strings": "stop",
}  # fmt: skip
FURTHER = (
    "min_p", "typical_p", "no_repeat_ngram_size", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens",
    "sequence_bias",
)  # fmt: skip
# what it may hold that changes no token, or that is the model's in any case (what begins, ends and pads a completion)
NO_SETTINGS = (
    "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "do_sample", "max_length",
    "transformers_version", "_from_model_config", "use_cache", "cache_implementation", "cache_config",
    "disable_compile", "output_attentions", "output_hidden_states", "output_scores", "output_logits",
    "return_dict_in_generate", "renormalize_logits",
)  # fmt: skip


def check_model_names(recipe: Recipe, names: Iterable[str]) -> None:
    """Raises UserError where ``evaluation.models`` names a model that is not judged."""
    names = list(names)
    for name in recipe.evaluation.models:
        if name not in names:
            raise UserError(
                one_line(
                    f"{recipe.file}: key 'evaluation.models.{name}': no --model has that name{nearest(name, names)}"
                )
            )


def model_options(recipe: Recipe, name: str) -> JudgedModel:
    """Returns what is particular to a model; nothing where the recipe does not name it."""
    return recipe.evaluation.models.get(name) or JudgedModel()


def prompt_style(recipe: Recipe, name: str, thinking: bool) -> PromptStyle:
    """Returns how a model is asked: the recipe's ``prompt``, then its own, then its own ``box_format`` and ``answer``;
    with thinking where it is asked to (``/think``), or where its own prompt says so."""
    own = model_options(recipe, name)
    style = replace(recipe.style(), thinking=False)
    if own.prompt is not None:
        style = own.prompt.over(style)
    given = {"box_format": own.box_format, "answer_format": own.answer}
    style = replace(style, **{key: value for key, value in given.items() if value is not None})
    return replace(style, thinking=True) if thinking else style


def check_prompt_style(recipe: Recipe, name: str, header: Header, file: Any) -> None:
    """Raises UserError where predictions that bring their own Header were asked for otherwise than the recipe says of
    this very model: the Header would be followed, and the recipe passed over in silence."""
    own = model_options(recipe, name)
    wanted = prompt_style(recipe, name, header.style.thinking)
    given = {"box_format"} if own.box_format else set()
    given |= {"answer_format"} if own.answer else set()
    if own.prompt is not None:
        given |= {f.name for f in fields(PromptStyle)} & set(own.prompt.model_fields_set)
    for key in sorted(given):
        said = getattr(header.style, key)
        if said != getattr(wanted, key):
            raise UserError(
                one_line(
                    f"{file}: its header says that its {key} is {said!r}, 'evaluation.models.{name}' that it is "
                    f"{getattr(wanted, key)!r}; leave it out of the recipe, or correct {file.with_suffix('.json')}"
                )
            )


class PixelBounds(TypedDict):
    """The bounds of the area that images are resized to; None: the image processor's own."""

    min_pixels: int | None
    max_pixels: int | None


def pixel_bounds(recipe: Recipe, name: str) -> PixelBounds:
    """Returns the bounds of the area that a model's images are resized to: its own, else those of ``model``; None: its
    image processor's."""
    own, usual = model_options(recipe, name), recipe.model
    least, most = own.min_pixels or usual.min_pixels, own.max_pixels or usual.max_pixels
    if least and most and least > most:
        raise UserError(f"{recipe.file}: key 'evaluation.models.{name}': min_pixels is above max_pixels")
    return PixelBounds(min_pixels=least, max_pixels=most)


def file_image_facts(recipe: Recipe, name: str) -> dict[str, Any]:
    """Returns what is known of the images behind a file of predictions, for its Header: how Qwen2.5-VL resizes to the
    bounds given; nothing where none is, for images of their own size."""
    own = model_options(recipe, name)
    if own.min_pixels is None and own.max_pixels is None:
        return {}
    return {
        "min_pixels": own.min_pixels or QWEN25_MIN_PIXELS,
        "max_pixels": own.max_pixels or QWEN25_MAX_PIXELS,
        "factor": QWEN25_FACTOR,
    }


def decoding_settings(
    recipe: Recipe, thinking: bool, own: GenerationConfig | None = None, where: str = ""
) -> tuple[Decoding, dict[str, Any]]:
    """Returns how a model's completions are decoded, and what of that was taken from its own settings ``own``: nothing
    without them, else all that the recipe does not set.

    Raises:
        UserError: ``own``, of the model ``where``, holds a setting that no backend here has, or several samples would
            be greedy.
    """
    wanted = recipe.evaluation
    decoding = Decoding(
        temperature=wanted.temperature,
        max_new_tokens=(thinking and wanted.thinking_max_new_tokens) or wanted.max_new_tokens,
        samples=wanted.samples,
        seed=recipe.seed,
        batch_size=wanted.batch_size,
        top_p=wanted.top_p,
        top_k=wanted.top_k,
        repetition_penalty=wanted.repetition_penalty,
        min_new_tokens=wanted.min_new_tokens,
        stop=tuple(wanted.stop),
    )
    taken = {} if own is None else _taken(recipe, thinking, own, where)
    known = {OURS[name]: value for name, value in taken.items() if name in OURS}
    if isinstance(known.get("stop"), str):
        known["stop"] = [known["stop"]]
    known |= {key: tuple(known[key]) for key in ("stop",) if key in known}
    decoding = decoding._replace(**known, more={name: taken[name] for name in FURTHER if name in taken})
    if decoding.samples > 1 and not decoding.temperature:
        raise UserError(f"{where}: samples above 1 need a temperature above 0; set 'evaluation.temperature'")
    if decoding.min_new_tokens > decoding.max_new_tokens:
        raise UserError(
            f"{recipe.file}: completions of at least {decoding.min_new_tokens} and at most {decoding.max_new_tokens} "
            "tokens; change 'evaluation.min_new_tokens' or 'evaluation.max_new_tokens'"
        )
    return decoding, taken


def _taken(recipe: Recipe, thinking: bool, own: GenerationConfig, where: str) -> dict[str, Any]:
    """Returns the settings of a model's own that the recipe leaves open, by transformers' names for them."""
    from transformers import GenerationConfig

    from radrl.models.library_internals import generation_defaults

    neutral = dict.fromkeys(vars(GenerationConfig())) | generation_defaults()
    said = set(recipe.evaluation.model_fields_set)
    if thinking and recipe.evaluation.thinking_max_new_tokens:
        said.add("max_new_tokens")
    taken = {}
    for name, value in own.to_dict().items():
        if value is None or name in NO_SETTINGS:
            continue
        if name in OURS:
            if OURS[name] in said or (name == "temperature" and not own.do_sample):
                continue
            taken[name] = value
        elif name in FURTHER:
            taken[name] = value
        elif (
            name in neutral and value is not False and value != neutral[name]
        ):  # what is no setting of transformers' does nothing there
            raise UserError(
                one_line(
                    f"{where}: its generation_config sets {name} to {value!r}, which no backend here does; set "
                    "'evaluation.generation_config: recipe', or take it out of the folder"
                )
            )
    if own.do_sample and own.temperature is None and "temperature" not in said:
        taken["temperature"] = 1.0
    return taken


def decoding_facts(decoding: Decoding) -> Mapping[str, Any]:
    """Returns the settings in force, as JSON, for a Header. ``batch_size`` is not among them: a sampled completion does
    not depend on it, a greedy one but for rounding."""
    told = decoding._asdict() | {"stop": list(decoding.stop), "more": dict(decoding.more)}
    del told["batch_size"]
    if not told["more"]:
        del told["more"]
    if not decoding.temperature:
        told |= {"seed": None}
    return told
