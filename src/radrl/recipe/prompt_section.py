"""The recipe's ``prompt`` section: how a question is put, by keys or as a published model is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from radrl.prompt import presets
from radrl.prompt.messages import TEMPLATE, AnswerFormat, BoxFormat, Options, PromptStyle, template_fault


class Prompt(BaseModel):
    """How a question is put, and how the answer to it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    preset: Annotated[str, Field(min_length=1)] | None = None
    """Name of a published model's prompt (`radrl.prompt.presets`); keys given here win over it."""
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
    answer_format: AnswerFormat = "plain"
    """How the answer is taught: as it is, in ``<answer>`` tags, or in ``\\boxed{}``. Reading knows all of them."""
    image_separator: str = ""
    """What stands between the images and the text."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, values: Any) -> Any:
        """A name alone is that preset; keys beside ``preset`` win over its own."""
        values = {"preset": values} if isinstance(values, str) else values
        if isinstance(values, dict) and isinstance(values.get("preset"), str):
            return {**presets.read(values["preset"]), **values}
        return values

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
