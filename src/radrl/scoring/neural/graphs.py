"""RadGraph's text side: how a report is split into words, the JSON it becomes, and the scores of two such graphs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Graph = Mapping[str, Any]  # {"text": ..., "entities": {"1": {...}}, ...} as the package radgraph gives it

_PUNCTUATION = re.compile(r"([/,:.!?()])")  # of the class [/,-,:,.,!?()]: its ",-," is the range from comma to comma
_WORD = re.compile(r"\w+|[^\w\s]+")
_REPLACED = (("\\n", "  "), ("\\f", "  "), ("\\u2122", "      "), ("\n", " "), ('\\"', "``"))
_PARTED = ((").", ") ."), ("%.", "% ."), (".'", ". '"), ("%,", "% ,"), ("%)", "% )"))


def split_v1(text: str) -> list[str]:
    """Returns the words of a report as RadGraph 1 reads it: ``/ , : . ! ? ( )`` stand alone, hyphens do not."""
    return _PUNCTUATION.sub(r" \1 ", text).split()


def split_xl(text: str) -> list[str]:
    """Returns the words of a report as RadGraph-XL reads it: runs of letters and digits, and runs of other signs."""
    for old, new in _REPLACED:
        text = text.replace(old, new)
    words: list[str] = _WORD.findall(text)
    text = " ".join(words)
    for old, new in _PARTED:
        text = text.replace(old, new)
    return text.split()


SPLITTERS: Mapping[str, Callable[[str], list[str]]] = {"radgraph": split_v1, "radgraph-xl": split_xl}


class Spans(NamedTuple):
    """What the model says of a report, without its words: ``entities`` as (first word, last word, label), in order,
    and ``relations`` as (index of the entity it starts from, index of the other, label). ``tie``: a decision was so
    close that it was made in float64."""

    entities: Sequence[tuple[int, int, str]]
    relations: Sequence[tuple[int, int, str]]
    tie: bool = False


def graph(words: Sequence[str], found: Spans) -> Graph:
    """Returns the JSON that the package radgraph gives for a report."""
    entities: dict[str, dict[str, Any]] = {}
    for k, (start, end, label) in enumerate(found.entities, 1):
        said = " ".join(words[start : end + 1])
        entities[str(k)] = {"tokens": said, "label": label, "start_ix": start, "end_ix": end, "relations": []}
    for source, target, label in found.relations:
        entities[str(source + 1)]["relations"].append([label, str(target + 1)])
    return {"text": " ".join(words), "entities": entities, "data_source": None, "data_split": "inference"}


def f1(given: set[Any], wanted: set[Any]) -> float:
    """Returns F1 of two sets, 0 where they share nothing or one is empty."""
    both = len(given & wanted)
    if not both:
        return 0.0
    precision, recall = both / len(given), both / len(wanted)
    return 2 * precision * recall / (precision + recall)


def scores(given: Graph, wanted: Graph) -> dict[str, float]:
    """Returns every form of RadGraph F1 in use, each in 0-1.

    ``entity``: entities as (words, label). ``relation``: relations as (entity, entity, label). ``radcliq``: the mean
    of the two (Yu et al., Patterns 2023). ``simple``, ``partial`` and ``complete``: RG_E, RG_ER and the complete form
    of arXiv 2210.12186 as the package radgraph computes them: an entity; an entity and whether it has a relation; an
    entity with each of its relations (words in lower case where it has one, as there). 0 where a side has no entity.
    """
    sides = given["entities"], wanted["entities"]
    entity = f1(*(_entities(side) for side in sides))
    relation = f1(*(_relations(side) for side in sides))
    complete = f1(*(_complete(side) for side in sides))
    partial = f1(*({(e["tokens"], e["label"], bool(e["relations"])) for e in side.values()} for side in sides))
    return {
        "entity": entity,
        "relation": relation,
        "radcliq": (entity + relation) / 2,
        "simple": entity,
        "partial": partial,
        "complete": complete,
    }


FORMS = ("entity", "relation", "radcliq", "simple", "partial", "complete")


def _key(entity: Mapping[str, Any]) -> tuple[str, str]:
    return entity["tokens"], entity["label"]


def _entities(side: Mapping[str, Any]) -> set[Any]:
    return {_key(one) for one in side.values()}


def _relations(side: Mapping[str, Any]) -> set[Any]:
    return {(_key(one), _key(side[other]), label) for one in side.values() for label, other in one["relations"]}


def _complete(side: Mapping[str, Any]) -> set[Any]:
    said: set[Any] = set()
    for one in side.values():
        said |= {
            (one["tokens"].lower(), one["label"], label, side[other]["tokens"].lower())
            for label, other in one["relations"]
        } or {_key(one)}
    return said
