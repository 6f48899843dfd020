"""The vocabulary of chest X-ray reports: the files in ``vocabulary/`` as a tree of words, read once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, NamedTuple

import yaml

from radrl.clinical.spelling import Speller
from radrl.example import Change, Region, Severity, Side

Certainty = Literal["present", "probable", "uncertain", "absent"]
"""What a text says of a finding: "atelectasis versus scarring" is probable, "may be" uncertain."""
Tree = dict[str, Any]
"""Words to subtrees; under the key ``END`` stands what the phrase up to here means."""
END = ""
CERTAIN_TO_DOUBTED: tuple[Certainty, ...] = ("present", "probable", "uncertain")
GROUP = re.compile(r"\[([^()\[\]]*)\]|\(([^()\[\]]*)\)")
FILES = ("findings", "structures", "modifiers", "cues", "sections")


class State(NamedTuple):
    """What one state word says of one structure: concepts, and whether they are present, probable or absent."""

    findings: tuple[str, ...]
    presence: Certainty


class Concept(NamedTuple):
    """One entry of findings.yaml: the name of its Finding, and which words say something about it."""

    name: str
    sided: bool = True
    graded: bool = True
    diffuse: bool = False
    device: bool = False


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a phrase can be; one phrase may have several roles ("small": a severity, and the start of a new item)."""

    findings: tuple[str, ...] = ()
    cue: str = ""
    side: Side | None = None
    region: Region | None = None
    severity: Severity | None = None
    change: Change | None = None
    position: str | None = None
    structure: str = ""
    states: dict[str, State] | None = None
    fresh: bool = False
    limits: bool = False
    glue: bool = False


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words as a tree, with what a reader of text needs besides. ``concepts`` is in the order of findings.yaml."""

    tree: Tree
    concepts: dict[str, Concept]
    changes: tuple[str, ...]
    abbreviations: tuple[str, ...]
    headings: dict[str, tuple[str, ...]]
    read: frozenset[str]
    speller: Speller

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the names of findings."""
        return tuple(dict.fromkeys(concept.name for concept in self.concepts.values()))


@dataclass
class _Builder:
    meanings: dict[tuple[str, ...], Meaning] = field(default_factory=dict)

    def add(self, phrases: list[str], **roles: Any) -> None:
        plain = Meaning(**roles)
        for phrase in phrases:
            for text in expand(phrase):
                words = tuple(text.replace("-", " ").split())
                if not words:
                    raise ValueError(f"vocabulary: phrase '{phrase}' may be empty")
                old = self.meanings.get(words)
                if old is None:
                    self.meanings[words] = plain
                    continue
                new = replace(old, **roles)
                if old.findings:
                    new = replace(new, findings=tuple(dict.fromkeys(old.findings + new.findings)))
                if old.states:
                    new = replace(new, states={**old.states, **(new.states or {})})
                if old.change:  # the kinds of change stand in order of precedence
                    new = replace(new, change=old.change)
                self.meanings[words] = new

    def place(self) -> None:
        """Gives phrases that name a finding the side and region of their words ("apical cap")."""
        for words, meaning in self.meanings.items():
            if meaning.findings:
                own = [self.meanings[word,] for word in words if (word,) in self.meanings]
                sides = {m.side for m in own} - {None}
                regions = {m.region for m in own} - {None}
                if len(sides) == 1 and len(words) > 1:
                    meaning = replace(meaning, side=sides.pop())
                if len(regions) == 1 and len(words) > 1:
                    meaning = replace(meaning, region=regions.pop())
                self.meanings[words] = meaning

    def tree(self) -> Tree:
        root: Tree = {}
        for words, meaning in self.meanings.items():
            node = root
            for word in words:
                node = node.setdefault(word, {})
            node[END] = meaning
        return root


def expand(phrase: str) -> Iterator[str]:
    """Yields every phrase that a notation stands for: ``[x|y]`` may be left out, ``(x|y)`` is a choice."""
    group = GROUP.search(phrase)
    if group is None:
        yield phrase
        return
    optional, choice = group.groups()
    options = choice.split("|") if optional is None else ["", *optional.split("|")]
    for option in options:
        yield from expand(phrase[: group.start()] + option + phrase[group.end() :])


@lru_cache(maxsize=1)
def load_vocabulary() -> Vocabulary:
    """Returns the vocabulary that comes with the package."""
    folder = resources.files("radrl.clinical").joinpath("vocabulary")
    texts = {name: folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8") for name in FILES}
    return build({name: yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) for name, text in texts.items()})


def build(data: dict[str, Any]) -> Vocabulary:
    """Returns the vocabulary of parsed YAML, file by file; the notation is described at the top of findings.yaml.

    Raises:
        ValueError: a phrase may be empty.
    """
    builder = _Builder()
    for concept, finding in data["findings"].items():
        builder.add(finding["phrases"], findings=(concept,))
    for structure, entry in data["structures"].items():
        builder.add(entry["phrases"], structure=structure)
        named = (entry["finding"],) if "finding" in entry else ()
        for presence in CERTAIN_TO_DOUBTED:
            builder.add(entry.get(presence, []), states={structure: State(named, presence)})
        for concept, phrases in entry.get("states", {}).items():
            builder.add(phrases, states={structure: State((concept,), "present")})
        builder.add(entry.get("absent", []), states={structure: State(tuple(entry.get("rules_out", ())), "absent")})
    modifiers = data["modifiers"]
    builder.add(modifiers["neutral_states"], states={})
    for side, phrases in modifiers["sides"].items():
        builder.add(phrases, side=side)
    for region, phrases in modifiers["regions"].items():
        builder.add(phrases, region=region)
    for place in modifiers["places"]:
        builder.add(place["phrases"], side=place["side"], region=place["region"])
    for severity, phrases in modifiers["severities"].items():
        builder.add(phrases, severity=severity, fresh=True)
    for change, phrases in modifiers["changes"].items():
        builder.add(phrases, change=change, fresh=True)
    for position, phrases in modifiers["positions"].items():
        builder.add(phrases, position=position)
    for cue, phrases in data["cues"]["cues"].items():
        builder.add(phrases, cue=cue)
    builder.add(modifiers["fresh"], fresh=True)
    builder.add(modifiers["glue"], glue=True)
    builder.add(modifiers["limiting"], limits=True)
    builder.add(data["cues"]["ignore"], cue="ignore")
    builder.place()
    sections = data["sections"]["sections"]
    return Vocabulary(
        tree=builder.tree(),
        concepts={
            name: Concept(finding.get("as", name), **{k: finding[k] for k in Concept._fields[1:] if k in finding})
            for name, finding in data["findings"].items()
        },
        changes=tuple(modifiers["changes"]),
        abbreviations=tuple(data["sections"]["abbreviations"]),
        headings={name: tuple(words) for kind in sections.values() for name, words in kind.items()},
        read=frozenset(sections["read"]),
        speller=Speller(
            (word for words, m in builder.meanings.items() if m.findings or m.structure for word in words),
            (word for words in [*builder.meanings, data["cues"]["not_misspelt"]] for word in words),
        ),
    )
