"""Scorers of classification questions ("which of these findings are there?"): the labels named against those there.

An Answer's labels are read by `radrl.clinical.label_sets`; the figures of a whole set by label, micro and macro are in
`radrl.evaluation.metrics.classification`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from radrl.clinical.label_sets import contradicts
from radrl.example import Answer, Example, Score
from radrl.label_names import NOTHING, is_nothing, label_key
from radrl.scoring.registry import scorer

TASK = "classification"


class Compared(NamedTuple):
    """The labels of a case: named and there (``match``), named only (``false``), there only (``missed``). ``nothing``:
    the answer says that none is there."""

    match: tuple[str, ...]
    false: tuple[str, ...]
    missed: tuple[str, ...]
    nothing: bool

    @property
    def f1(self) -> float:
        """Returns 2 match / (2 match + false + missed). Where there is nothing and nothing was named: 1 if the answer
        says so, else 0."""
        total = 2 * len(self.match) + len(self.false) + len(self.missed)
        return 2 * len(self.match) / total if total else float(self.nothing)

    @property
    def precision(self) -> float:
        """Returns match / all named, 0 where none was; of the empty case as f1."""
        return self._share(len(self.match) + len(self.false))

    @property
    def recall(self) -> float:
        """Returns match / all there, 0 where there is none but some were named; of the empty case as f1."""
        return self._share(len(self.match) + len(self.missed))

    @property
    def right(self) -> bool:
        """Returns whether the labels named are those there, and "nothing" was said where there is none."""
        return self.f1 == 1.0

    def _share(self, of: int) -> float:
        if not (self.match or self.false or self.missed):
            return float(self.nothing)
        return len(self.match) / of if of else 0.0


def compared(example: Example, answer: Answer) -> Compared:
    """Returns the labels of an answer against those of its case, in the spelling and order of the label set.

    "No Finding" is a label where the label set has one of that sense. Said beside another label (but Support Devices,
    see `radrl.label_names.BESIDE`) it is wrong either way: false, or missed where it is right, so that nobody is paid
    for saying both. Where the label set has none, it is then one false label.
    """
    may = example.choices or example.label_set
    names = {label_key(name): name for name in (*may, *example.labels, *answer.labels)}
    there, named = {label_key(name) for name in example.labels}, {label_key(name) for name in answer.labels}
    own = {k for k, name in names.items() if is_nothing(name) and name in (*may, *example.labels)}
    said = {k for k in named if is_nothing(names[k])}
    named -= said
    clash = contradicts([names[k] for k in named], bool(said))
    if own:
        named |= own - there if clash else own if said else set()
    match, false, missed = (
        tuple(name for k, name in names.items() if k in some) for some in (there & named, named - there, there - named)
    )
    if clash and not own:
        false += (NOTHING,)
    return Compared(match, false, missed, bool(said))


@scorer(
    "label_f1",
    tasks=(TASK,),
    cheated='"No finding" for every film earns the share of normal films; the usual labels earn their overlap',
)
def label_f1(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """F1 of the labels named against those there, 0-1, whatever their order and wording. Parts: precision and recall.

    Where nothing is there and nothing is named it is 1 if the answer says so ("No finding"), else 0.
    """
    found = [compared(example, answer) for example, answer in zip(examples, answers, strict=True)]
    return [Score(one.f1, {"precision": one.precision, "recall": one.recall}) for one in found]


@scorer("label_precision", tasks=(TASK,), cheated="by one sure label")
def label_precision(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """Share of the labels named that are there, 0-1; 0 where none is named, but as label_f1 where there is none."""
    return [Score(compared(example, answer).precision) for example, answer in zip(examples, answers, strict=True)]


@scorer("label_recall", tasks=(TASK,), cheated="by naming every label")
def label_recall(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """Share of the labels there that are named, 0-1; where there is none as label_f1, 0 for any label named."""
    return [Score(compared(example, answer).recall) for example, answer in zip(examples, answers, strict=True)]


@scorer("label_accuracy", tasks=(TASK,), cheated="as label_f1, with nothing for a part")
def label_accuracy(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """1 where the labels named are exactly those there (subset accuracy), else 0."""
    return [Score(float(compared(example, answer).right)) for example, answer in zip(examples, answers, strict=True)]
