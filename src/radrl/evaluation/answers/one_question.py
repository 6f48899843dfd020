"""One question on one or a few films, asked as `radrl evaluate` asks a manifest: the same Backend, the same parser."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from PIL import Image
from pydantic import ValidationError

from radrl.errors import UserError, nearest
from radrl.evaluation.answers.ask_model import open_backend
from radrl.evaluation.answers.asked_examples import OneQuestion
from radrl.evaluation.answers.backend import Completion
from radrl.evaluation.answers.header import Header
from radrl.evaluation.answers.parsed import parse_predictions
from radrl.evaluation.answers.predictions import Prediction
from radrl.evaluation.answers.sources import Source
from radrl.example import TASKS, Answer, Example, Task
from radrl.recipe.schema import Recipe

YES_NO = ("yes", "no")
_PLACE = re.compile(
    r"\bwhere\b|\b(?:bounding[ -]?)?box(?:es)?\b|\bbbox\b|\bcoordinates?\b|\blocali[sz]e\b|\blocate\b"
    r"|^\W*(?:please )?(?:show|mark|outline|point)\b",
    re.I,
)
_REPORT = re.compile(
    r"\breport\b|^\W*(?:please )?describe (?:the |all |any )*(?:findings?|images?|films?|this)\b", re.I
)
_YES_NO = re.compile(
    r"^\W*(?:is|are|was|were|does|do|did|has|have|can|could|should|will)\b(?!.*(?:\bor\b|\b(?:what|which|how)\b))",
    re.I | re.S,
)


class AskedTask(NamedTuple):
    """A question as an Example without a reference, and why it is of its task."""

    example: Example
    why: str


def question_example(question: str, films: int, task: str | None = None, choices: Sequence[str] = ()) -> AskedTask:
    """Returns the Example that a question on so many films is, of the task given or of the one that its words name.

    With ``choices`` it is a closed question; words of a place make it grounding, words of a report a report; a
    question that begins as one of yes and no is closed; what is left is open.

    Raises:
        UserError: no question, an unknown task, or options that do not go with it.
    """
    if task is not None and task not in TASKS:
        raise UserError(f"--task {task}: give {', '.join(TASKS)}{nearest(task, TASKS)}")
    guessed, why = _guess(question, choices)
    known, why = (guessed, why) if task is None else (task, "as told")
    if choices and known not in ("vqa_closed", "classification"):
        raise UserError(f"--choice goes with the tasks vqa_closed and classification, not {known}; leave one out")
    if known == "vqa_closed" and not choices:
        if guessed != "vqa_closed":
            raise UserError("--task vqa_closed: give the options, a --choice each")
        choices = YES_NO
    if known == "vqa_closed" and not 2 <= len(set(choices)) == len(choices):
        raise UserError("--choice: give at least two options, each once")
    fields: dict[str, Any] = {"choices": tuple(choices)}
    if known == "vqa_closed":
        fields["reference"] = choices[0]  # an Example must have one; it is neither asked nor read
    elif known == "classification":
        fields["reference"] = "No finding"
    try:
        names = tuple(f"film-{k}" for k in range(1, films + 1))
        return AskedTask(Example(id="question", task=known, question=question.strip(), images=names, **fields), why)
    except ValidationError as error:
        said = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"the question: {said}" if question.strip() else "the question is empty; write one") from None


def _guess(question: str, choices: Sequence[str]) -> tuple[Task, str]:
    if choices:
        return "vqa_closed", "there are options"
    if _REPORT.search(question):
        return "report", "the question asks for a report"
    if _PLACE.search(question):
        return "grounding", "the question asks for a place"
    if _YES_NO.search(question):
        return "vqa_closed", "the question asks for yes or no"
    return "vqa_open", "nothing in the question says another task"


class Asker:
    """A model that is asked one question after the other, one at a time, from any thread.

    Raises:
        UserError: the model cannot be asked as the recipe says.
    """

    def __init__(self, recipe: Recipe, source: Source) -> None:
        self._asked = OneQuestion()
        self._backend = open_backend(recipe, source, self._asked)
        self._one_at_a_time = threading.Lock()

    @property
    def header(self) -> Header:
        """How the model is asked and decoded."""
        return self._backend.header

    def load(self) -> None:
        """Loads the weights now, where the model runs here. Raises UserError."""
        getattr(self._backend, "model", None)  # a cached property of the backends that have weights

    def ask(self, example: Example, pictures: Sequence[Image.Image]) -> Answer:
        """Returns what the model says to an Example with these pictures, parsed as an evaluation parses it.

        Raises:
            UserError: the chat template does not take it, or the backend fails for good.
        """
        said: list[Completion] = []
        with self._one_at_a_time:
            self._asked.now = example, list(pictures)
            try:
                self._backend.answer([(0, 0)], said.extend)
                (one,) = said
                prediction = Prediction(example.id, 0, one.text, one.tokens, self.header.settings)
                ((answer,),) = parse_predictions([[prediction]], self._asked, self.header)
            finally:
                self._asked.now = None
        return answer
