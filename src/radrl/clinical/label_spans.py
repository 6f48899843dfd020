"""Where the labels of a label set are named in a text: names by their stems, in any order of words, and the units of a
sentence with labels in the place of their words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from radrl.clinical import scope
from radrl.clinical.label import schemas
from radrl.clinical.vocabulary import Meaning, load_vocabulary
from radrl.label_names import is_nothing, label_key, stems

HIDDEN = -1  # instead of a label: what is named here is not counted
LONGEST_NAME = 8  # words in a row that are tried as a name
SCHEMAS = ("chexpert14", "nih14")
GAP = re.compile(r"[\s\-/()]*")  # what may stand between the words of a name
FILL = frozenset({"of", "the"})


class LabelSet(NamedTuple):
    """A label set made ready: names by their joined stems and by their sorted ones, how the joined ones begin, and all
    stems; labels by concept; ``nothing`` are the places of labels such as "No Finding"."""

    labels: tuple[str, ...]
    exact: Mapping[str, int]
    begun: frozenset[str]
    sorted: Mapping[tuple[str, ...], int]
    words: frozenset[str]
    concepts: Mapping[str, tuple[int, ...]]
    nothing: frozenset[int]


@lru_cache(maxsize=64)
def prepare_label_set(labels: tuple[str, ...]) -> LabelSet:
    nothing = frozenset(i for i, label in enumerate(labels) if is_nothing(label))
    exact: dict[str, int] = {}
    ordered: dict[tuple[str, ...], int] = {}
    for i, label in enumerate(labels):
        if i not in nothing:
            exact["".join(stems(label))] = i
            ordered[_order(stems(label))] = i
    for i, label in enumerate(labels):
        if i not in nothing and "/" in label:  # "Nodule/Mass": either of them
            for part in label.split("/"):
                exact.setdefault("".join(stems(part)), i)
    exact.pop("", None)
    begun = frozenset(name[:end] for name in exact for end in range(1, len(name) + 1))
    parts = frozenset(word for name in ordered for word in name) | FILL
    return LabelSet(labels, exact, begun, ordered, parts, _concepts(labels, nothing), nothing)


def _order(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(word for word in words if word not in FILL))


def _concepts(labels: tuple[str, ...], nothing: frozenset[int]) -> dict[str, tuple[int, ...]]:
    """Returns which labels each concept of the clinical vocabulary stands for."""
    keys = {label_key(label): i for i, label in enumerate(labels) if i not in nothing}
    found: dict[str, list[int]] = {}
    for schema in SCHEMAS:
        columns = {label_key(column): concepts for column, concepts in schemas()[schema]["labels"].items()}
        if keys and set(keys) <= set(columns):
            for name, i in keys.items():
                for concept in columns[name]:
                    found.setdefault(concept, []).append(i)
            break
    else:
        for concept in load_vocabulary().concepts:
            if label_key(concept) in keys:
                found[concept] = [keys[label_key(concept)]]
    return {concept: tuple(places) for concept, places in found.items()}


class Span(NamedTuple):
    """Where a label is named by its name or letter."""

    start: int
    end: int
    label: int


def named_spans(lowered: str, words: Sequence[tuple[str, int, int]], names: LabelSet) -> Iterator[Span]:
    """Yields where labels are named, without overlaps: the longest names, then names in another order of words."""
    n = len(words)
    taken = [False] * n
    for ordered in (False, True):
        i = 0
        while i < n:
            best, label = i, -1
            run: list[str] = []
            for end in range(i, min(n, i + LONGEST_NAME)):
                word = words[end][0]
                glued = end == i or GAP.fullmatch(lowered, words[end - 1][2], words[end][1])
                run.append(word)
                if taken[end] or not glued or not (word in names.words if ordered else "".join(run) in names.begun):
                    break
                found = names.sorted.get(_order(run)) if ordered else names.exact.get("".join(run))
                if found is not None and word not in FILL:
                    best, label = end + 1, found
            if best > i:
                taken[i:best] = [True] * (best - i)
                yield Span(words[i][1], words[best - 1][2], label)
            i = max(best, i + 1)


def with_labels(units: Sequence[scope.Unit], spans: Sequence[Span], hides: bool) -> list[scope.Unit]:
    """Returns the units of a sentence with labels as findings where their spans lie. A phrase of the vocabulary that
    means something else ("mass effect") hides the label in it, where ``hides``."""
    found: list[scope.Unit] = []
    k = 0
    for span in spans:
        while k < len(units) and units[k].end <= span.start:
            found.append(units[k])
            k += 1
        over = []
        while k < len(units) and units[k].start < span.end:
            over.append(units[k])
            k += 1
        if span.label == HIDDEN:
            found.append(scope.Unit(scope.UNKNOWN, span.start, span.end, "hidden"))
        elif hides and any(unit.meaning.cue == "ignore" for unit in over):
            found += over
        else:
            found.append(scope.Unit(Meaning(findings=(f"\0{span.label}",)), span.start, span.end, "label"))
    return found + list(units[k:])
