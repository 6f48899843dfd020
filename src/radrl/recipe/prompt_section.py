"""The recipe's ``prompt`` section: how a question is put, by keys or as a published model is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from radrl.errors import UserError
from radrl.prompt import presets
from radrl.prompt.messages import ANSWER_FORMATS, TEMPLATE, BoxFormat, Options, PromptStyle, template_fault
from radrl.recipe.explain import first_mistake
from radrl.recipe.own_files import OwnFile, below, own_file, own_yaml, paths_of
from radrl.recipe.yaml_file import mapping_in


def _known_format(name: str, info: ValidationInfo) -> str:
    if name in ANSWER_FORMATS:
        return name
    try:
        file = own_file(name, paths_of(info), "answer format")
    except UserError as error:
        raise ValueError(str(error)) from None
    if file is None:
        raise ValueError("should be 'plain', 'tags' or 'boxed', or FILE.py:NAME")
    return file.pinned


AnswerFormatName = Annotated[str, AfterValidator(_known_format)]
"""``plain``, ``tags``, ``boxed``, or a function of the user's that reads answers (answers/own_format.py)."""


class Prompt(BaseModel):
    """How a question is put, and how the answer to it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    preset: Annotated[str, Field(min_length=1)] | None = None
    """Name of a published model's prompt (`radrl.prompt.presets`), or a YAML file of one's own with keys of this
    section; keys given here win over it."""
    box_format: BoxFormat = "unit"
    """Notation of boxes in text."""
    thinking: bool = False
    """Ask for thinking."""
    system: str = ""
    """Text of the system message; empty: none."""
    template: str | dict[str, str] = TEMPLATE
    """The user's text; ``{question}`` and ``{options}`` stand for those of the Example. Or a text for each task, with
    ``yes_no`` for closed questions of yes and no, and ``default`` for what is not named."""
    think_suffix: str = " /think"
    """What stands after the user's text where thinking is asked for."""
    think_in_template: bool = False
    """The chat template itself opens or closes thinking (its ``enable_thinking``): no suffix is written."""
    options: Options = "inline"
    """How options are written: after the question in its line, a line each, a paragraph each, or not at all."""
    answer_format: AnswerFormatName = "plain"
    """How the answer is taught: as it is, in ``<answer>`` tags, or in ``\\boxed{}``. Reading knows all of them. Or a
    function of one's own that reads answers, ``FILE.py:NAME``."""
    image_separator: str = ""
    """What stands between the images and the text."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, values: Any, info: ValidationInfo) -> Any:
        """A name alone is that preset; keys beside ``preset`` win over its own."""
        values = {"preset": values} if isinstance(values, str) else values
        if not isinstance(values, dict) or not isinstance(values.get("preset"), str):
            return values
        try:
            if (file := own_yaml(values["preset"], paths_of(info), "preset")) is not None:
                return {**_keys_of(file), **values, "preset": file.pinned}
        except UserError as error:
            raise ValueError(str(error)) from None
        return {**presets.read_preset(values["preset"]), **values}

    @field_validator("template", mode="before")
    @classmethod
    def _fillable(cls, template: Any) -> Any:
        texts = template.values() if isinstance(template, dict) else [template]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("should be a text, or a section with a text for each task")
        if fault := template_fault(template):
            raise ValueError(fault)
        return template

    def over(self, base: PromptStyle) -> PromptStyle:
        """Returns how questions are put to a model: the keys given here over ``base``, or over a preset alone."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"preset"}}
        return replace(PromptStyle() if self.preset else base, **given)


def _keys_of(file: OwnFile) -> dict[str, Any]:
    """Returns the keys of a preset of the user's own, checked. Raises UserError."""
    values = mapping_in(file.source, file.path, "preset")
    if "preset" in values:
        raise UserError(f"{file.path}: a preset cannot name another one; write its keys here")
    try:
        section = Prompt.model_validate(values, context={"path": below(file.path.parent)})
    except ValidationError as error:
        raise UserError(f"{file.path}: {first_mistake(error, Prompt)}") from None
    return {key: getattr(section, key) for key in section.model_fields_set}
