"""A completion on its way to its rewards: the text as TRL hands it over, the Example it answers, and what each scorer
makes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from radrl.answers.parsing import parse
from radrl.boxes.notation import Size
from radrl.errors import UserError
from radrl.example import Answer, Example
from radrl.prompt.messages import PromptStyle
from radrl.scoring.registry import Scorer

Values = list[list[float | None]]  # [scorers][completions]; None where a scorer does not apply
KEPT_EXAMPLES = 10_000


class Completion(NamedTuple):
    """What a model wrote in answer to an Example. ``tokens`` is its number of tokens and ``size`` that of its resized
    image, for boxes in pixels; None where it is not known."""

    text: str
    example: Example
    tokens: int | None = None
    size: Size | None = None

    @property
    def key(self) -> tuple[str, int, int | None, Size | None]:
        """Returns what equal completions to one Example object have in common, as a key of a dict."""
        return self.text, id(self.example), self.tokens, self.size


def scorer_values(scorers: Sequence[Scorer], completions: Sequence[Completion], style: PromptStyle) -> Values:
    """Returns the value that each scorer gives each completion, [scorers][completions]; None where it does not apply.

    Equal completions are parsed once, and then scored once by each scorer.
    """
    if not scorers:
        return []
    parsed: dict[tuple[Any, ...], Answer] = {}
    for one in completions:
        if one.key not in parsed:
            parsed[one.key] = parse(one.text, one.example, style, one.tokens, one.size)
    examples = [one.example for one in completions]
    answers = [parsed[one.key] for one in completions]
    return [[None if score is None else score.value for score in scorer(examples, answers)] for scorer in scorers]


def completion_text(completion: Any) -> str:
    """Returns the text of a TRL completion, which is a string or one assistant message."""
    if isinstance(completion, str):
        return completion
    content = completion[0]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


_examples: dict[str, Example] = {}


def as_example(value: Any) -> Example:
    """Returns the Example of a data set's cell: an Example, its JSON as text, or a mapping without empty fields.

    Raises:
        UserError: it is none of these.
    """
    if isinstance(value, Example):
        return value
    try:
        if not isinstance(value, str):  # Arrow fills the fields that a row does not have with None
            value = json.dumps({k: v for k, v in value.items() if v is not None})
        if value not in _examples:  # one object for equal rows: equal completions to it are scored once
            if len(_examples) > KEPT_EXAMPLES:
                _examples.clear()
            _examples[value] = Example.model_validate_json(value)
        return _examples[value]
    except (ValueError, AttributeError, TypeError) as error:
        said = str(error).splitlines()[0]
        raise UserError(f"the data set's column 'example' holds what is no Example ({said})") from None
