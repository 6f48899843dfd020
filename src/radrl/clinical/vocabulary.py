"""The vocabulary of chest X-ray reports: ``vocabulary.yaml`` as a tree of words, read once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

import yaml

Tree = dict[str, Any]
"""Words to subtrees; under the key ``END`` stands what the phrase up to here means."""
END = ""
GROUP = re.compile(r"\[([^()\[\]]*)\]|\(([^()\[\]]*)\)")


class State(NamedTuple):
    """What one state word says of one structure: findings, and whether they are present, uncertain or absent."""

    findings: tuple[str, ...]
    presence: str


@dataclass(frozen=True)
class Meaning:
    """What a phrase can be; one phrase may have several roles ("small": a severity, and the start of a new item)."""

    findings: tuple[str, ...] = ()
    cue: str = ""
    side: str | None = None
    region: str | None = None
    severity: str | None = None
    structure: str = ""
    states: dict[str, State] | None = None
    fresh: bool = False
    glue: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """The words as a tree, with what a reader of text needs besides."""

    tree: Tree
    names: tuple[str, ...]
    unsided: frozenset[str]
    ungraded: frozenset[str]
    diffuse: frozenset[str]
    abbreviations: frozenset[str]
    skipped_headings: frozenset[str]
    kept_headings: frozenset[str]


@dataclass
class _Builder:
    meanings: dict[tuple[str, ...], Meaning] = field(default_factory=dict)

    def add(self, phrases: list[str], **roles: Any) -> None:
        for phrase in phrases:
            for text in expand(phrase):
                words = tuple(text.replace("-", " ").split())
                if not words:
                    raise ValueError(f"vocabulary: phrase '{phrase}' may be empty")
                old = self.meanings.get(words, Meaning())
                new = replace(old, **roles)
                if old.findings:
                    new = replace(new, findings=tuple(dict.fromkeys(old.findings + new.findings)))
                if old.states:
                    new = replace(new, states={**old.states, **(new.states or {})})
                self.meanings[words] = new

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
def load() -> Vocabulary:
    """Returns the vocabulary that comes with the package."""
    text = resources.files(__package__).joinpath("vocabulary.yaml").read_text(encoding="utf-8")
    return build(yaml.safe_load(text))


def build(data: dict[str, Any]) -> Vocabulary:
    """Returns the vocabulary of parsed YAML; the notation is described at the top of ``vocabulary.yaml``.

    Raises:
        ValueError: a phrase may be empty.
    """
    builder = _Builder()
    for name, finding in data["findings"].items():
        builder.add(finding["phrases"], findings=(name,))
    for structure, entry in data["structures"].items():
        builder.add(entry["phrases"], structure=structure)
        named = (entry["finding"],) if "finding" in entry else ()
        for presence in ("present", "uncertain"):
            builder.add(entry.get(presence, []), states={structure: State(named, presence)})
        builder.add(entry.get("absent", []), states={structure: State(tuple(entry.get("rules_out", ())), "absent")})
    builder.add(data["neutral_states"], states={})
    for side, phrases in data["sides"].items():
        builder.add(phrases, side=side)
    for region, phrases in data["regions"].items():
        builder.add(phrases, region=region)
    for place in data["places"]:
        builder.add(place["phrases"], side=place["side"], region=place["region"])
    for severity, phrases in data["severities"].items():
        builder.add(phrases, severity=severity, fresh=True)
    for cue, phrases in data["cues"].items():
        builder.add(phrases, cue=cue)
    builder.add(data["fresh"], fresh=True)
    builder.add(data["glue"], glue=True)
    builder.add(data["ignore"], cue="ignore")
    findings = data["findings"]
    return Vocabulary(
        tree=builder.tree(),
        names=tuple(findings),
        unsided=frozenset(name for name, f in findings.items() if not f.get("sided", True)),
        ungraded=frozenset(name for name, f in findings.items() if not f.get("graded", True)),
        diffuse=frozenset(name for name, f in findings.items() if f.get("diffuse", False)),
        abbreviations=frozenset(data["abbreviations"]),
        skipped_headings=frozenset(data["sections"]["skipped"]),
        kept_headings=frozenset(data["sections"]["kept"]),
    )
