"""One sentence as units (phrases of the vocabulary), and which findings it says are present, absent or uncertain.

Cues open a scope that runs to the next exception ("but"), to "with", or to a new statement. Every pass over the
units is linear: a phrase looks at a fixed number of neighbours only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from radrl.clinical.sections import Token
from radrl.clinical.vocabulary import CERTAIN_TO_DOUBTED, END, Certainty, Meaning, Tree

UNKNOWN = Meaning()
COMMA = Meaning(cue="comma")
MARKS = {",": COMMA, ":": COMMA, "?": Meaning(cue="question")}
DOUBT: dict[Certainty, int] = {said: k for k, said in enumerate(CERTAIN_TO_DOUBTED)}
JOINED = frozenset({"and", "or", "comma"})
NEAR = 3  # units between two states of one structure
LISTS = frozenset({"differential", "considerations", "consideration", "possibilities"})
LONGEST_LIST = 12  # findings that one "are not seen" may speak of
LOOK_AHEAD = 4  # units between a state and the structure it is said of: "enlargement of the cardiac silhouette"


@dataclass(slots=True)
class Unit:
    """A phrase of the vocabulary, a comma, or an unknown word, with its character range."""

    meaning: Meaning
    start: int
    end: int
    word: str  # the first word, for the number of a verb


@dataclass(slots=True)
class Mention:
    """A concept as a sentence speaks of it: present, probable, uncertain or absent.

    ``implied``: ruled out by a state ("lungs are clear"), not named.
    """

    concept: str
    presence: Certainty
    unit: int
    start: int
    end: int
    implied: bool = False
    gap: frozenset[str] = field(default_factory=frozenset)  # cues between the finding before and this one


def units(tokens: Sequence[Token], tree: Tree) -> list[Unit]:
    """Returns the tokens grouped into the longest phrases of the vocabulary, from left to right."""
    found: list[Unit] = []
    i, n = 0, len(tokens)
    while i < n:
        word, start, stop = tokens[i]
        node, j, meaning, end = tree.get(word), i + 1, UNKNOWN, i + 1
        while node is not None:
            if END in node:
                meaning, end = node[END], j
            if j == n:
                break
            node = node.get(tokens[j][0])
            j += 1
        meaning = MARKS.get(word, meaning)
        found.append(Unit(meaning, start, stop if end == i + 1 else tokens[end - 1][2], word))
        i = end
    return found


class SentenceReader:
    """Reads one sentence from left to right; ``mentions`` holds what it says, in order."""

    def __init__(self, sentence: Sequence[Unit]) -> None:
        self.units = sentence
        self.mentions: list[Mention] = []
        self.denied = self.hypothetical = False
        self.doubted: Literal["", "probable", "uncertain"] = ""
        self.named = False  # a finding was named inside the open scope
        self._turned = False  # the last finding was denied by a cue after it
        self.listing = False  # "differential includes": the doubt runs to the end of the list
        self.closing = False  # "... is seen": the denial ends at the next comma or "and"
        self.gap: set[str] = set()
        self.pending: list[int] = []  # structures waiting for their state
        self.stated = False
        self.settled = -1  # the unit of the last state of the pending structures
        self.bound: set[int] = set()  # structures already read together with a state before them
        self.later_or, self.predicate = self._look_back()

    def read_mentions(self) -> list[Mention]:
        """Returns what the sentence says of each concept that it speaks of, in order."""
        for k, unit in enumerate(self.units):
            meaning = unit.meaning
            if meaning.findings:
                self._finding(k, unit)
            elif meaning.structure:
                self._structure(k)
            if meaning.states is not None and not meaning.findings:
                self._state(k, unit)
            if meaning.cue:
                self._cue(k, unit)
        return self.mentions

    def _look_back(self) -> tuple[list[bool], list[bool]]:
        """Returns for each unit whether "or" follows in its scope, and whether a verb or state comes before any
        finding does ("the heart is ...")."""
        n = len(self.units)
        later_or, predicate = [False] * n, [False] * n
        alternative = said = False
        for k in range(n - 1, -1, -1):
            meaning = self.units[k].meaning
            later_or[k], predicate[k] = alternative, said
            if meaning.cue in ("exception", "new"):
                alternative = said = False
            elif meaning.cue == "or" or self.units[k].word == "nor":
                alternative = True
            elif meaning.findings or meaning.cue == "negation":
                said = False
            elif meaning.cue == "verb" or meaning.states is not None:
                said = True
        return later_or, predicate

    def _end_scope(self) -> None:
        self.denied = self.named = self.closing = self.listing = False
        self.doubted = ""

    def _mention(self, concept: str, presence: Certainty, k: int, start: int, end: int, implied: bool = False) -> None:
        self.mentions.append(Mention(concept, presence, k, start, end, implied, frozenset(self.gap)))

    def _finding(self, k: int, unit: Unit) -> None:
        self.named = True
        if self.hypothetical:
            return
        presence: Certainty = "absent" if self.denied else self.doubted or "present"
        either = "or" in self.gap and not self.gap & {"and", "with", "exception", "new"}
        if presence == "present" and either and self.mentions:
            presence = "probable"  # "atelectasis or infiltrate"
            self._doubt(self.mentions[-1], "probable")
        for concept in unit.meaning.findings:
            self._mention(concept, presence, k, unit.start, unit.end)
        self.gap, self._turned = set(), False

    @staticmethod
    def _doubt(mention: Mention, presence: Certainty) -> None:
        if DOUBT.get(mention.presence, 3) < DOUBT[presence]:
            mention.presence = presence

    def _structure(self, k: int) -> None:
        if k in self.bound:
            return
        before = self.units[max(k - 2, 0) : k]
        if any(u.meaning.cue == "preposition" and u.word not in ("of", "for") for u in before):
            return  # a place ("opacity in the lungs"), not what the sentence is about
        if self.named and self.predicate[k] and "or" not in self.gap:
            self._end_scope()  # "no effusion, the heart is enlarged"
        if self.stated:
            self.pending, self.stated, self.settled = [], False, -1
        limited = before and (before[-1].meaning.side in ("left", "right") or before[-1].meaning.region)
        if not (limited and self.units[k].meaning.structure == "lungs"):
            self.pending.append(k)

    def _state(self, k: int, unit: Unit) -> None:
        ahead = self._structure_ahead(k)
        if ahead == -1:
            return  # belongs to a finding: "large left effusion"
        states = unit.meaning.states or {}
        if ahead is not None and not (self.pending and not self.stated and self.predicate[ahead]):
            self.bound.add(ahead)
            structures, start, end = [ahead], unit.start, self.units[ahead].end
        elif self.pending:
            if self.stated and self.settled >= 0 and not (k - self.settled <= NEAR and self.gap <= JOINED):
                return  # only "tortuous and calcified" is said of one structure
            structures, start, end = self.pending, self.units[self.pending[0]].start, unit.end
            if not states and not unit.meaning.severity:
                self.stated = True
                return
        else:
            return
        for structure in structures:
            state = states.get(self.units[structure].meaning.structure)
            if state is None or self.hypothetical:
                continue
            presence = state.presence
            if presence == "absent" and (self.denied or self.doubted):
                continue  # "not clear"
            if presence != "absent":
                presence = "absent" if self.denied else max(presence, self.doubted or presence, key=DOUBT.__getitem__)
            for concept in state.findings:
                if not any(m.unit == k and m.concept == concept for m in self.mentions[-len(state.findings) :]):
                    self._mention(concept, presence, k, start, end, implied=state.presence == "absent")
        self.gap = set()
        self.named = True
        if structures is self.pending:
            self.stated = True
            self.settled = k

    def _structure_ahead(self, k: int) -> int | None:
        """Returns the structure that the state at k directly precedes, -1 where a finding comes first, or None."""
        for j in range(k + 1, min(k + 1 + LOOK_AHEAD, len(self.units))):
            meaning = self.units[j].meaning
            if meaning.findings:
                return -1
            if meaning.structure:
                return j
            if not (meaning.glue or meaning.side or meaning.region or meaning.severity) or meaning.cue == "verb":
                return None
        return None

    def _cue(self, k: int, unit: Unit) -> None:
        cue = unit.meaning.cue
        if cue in ("comma", "and"):
            self._separator(k, cue)
        elif cue in ("exception", "new", "shows", "with"):
            if cue == "exception" or self.named:
                self._end_scope()
            if cue != "with":
                self.hypothetical = False
                self.pending, self.stated, self.settled = [], False, -1
        elif cue == "negation" and unit.word in ("resolved", "removed", "absent") and self._last() is not None:
            self._after(k, unit, "absent")
        elif (cue == "value" or (cue == "negation" and unit.word == "no" and self._is_value(k))) and self._last():
            self._after(k, unit, "absent")  # "pneumothorax: none", "pneumothorax? No"
        elif cue == "value":
            pass
        elif cue == "negation":
            self._end_scope()
            self.denied = True
        elif cue in ("uncertainty", "probable"):
            if self.named or not self.denied:
                self._end_scope()
            if self.doubted != "uncertain":
                self.doubted = "uncertain" if cue == "uncertainty" else "probable"
            self.listing = unit.word in LISTS
        elif cue == "doubt":
            self.doubted = "uncertain"
        elif cue == "versus":
            self.doubted = self.doubted or "probable"
            if self.mentions and not self.gap & {"exception", "new", "with"}:
                self._doubt(self.mentions[-1], "probable")
        elif cue == "hypothetical":
            self.hypothetical = True
        elif (
            cue == "negation_after"
            and self._last() is None
            and (unit.word in ("resolved", "cleared") or (k == 0 and unit.word == "not"))
        ):
            self._end_scope()  # "resolved edema"
            self.denied = True
        elif cue == "negation_after":
            self._after(k, unit, "absent")
        elif cue == "uncertainty_after" or (cue == "uncertainty_either" and not self._finding_ahead(k)):
            self._after(k, unit, "uncertain")
        elif cue == "uncertainty_either":
            self._end_scope()
            self.doubted = "uncertain"
        elif cue == "question" and self._finding_ahead(k) and (k == 0 or self.units[k - 1].meaning.cue == "comma"):
            self.doubted = "uncertain"  # "? small effusion"
        elif cue == "question":
            if not any(u.meaning.cue == "answer" for u in self.units[k + 1 : k + 2]):
                self._after(k, unit, "uncertain")
        elif cue == "persist" and self.mentions and self.mentions[-1].presence == "absent" and self._turned:
            # "resolved on the left but persist on the right": what was denied is there all the same
            self._mention(self.mentions[-1].concept, "present", k, unit.start, unit.end)
        elif cue == "seen":
            self.closing = self.named
        self.gap.add(cue)

    def _is_value(self, k: int) -> bool:
        """Whether "no" is what is said of the finding before it, as in a list, and denies nothing that follows."""
        end = k + 1 == len(self.units) or self.units[k + 1].meaning.cue in ("comma", "question")
        return end and k > 0 and self.units[k - 1].word in (":", "?", ",")

    def _finding_ahead(self, k: int) -> bool:
        """Whether a finding is named after k and before the next comma or new statement."""
        for unit in self.units[k + 1 : k + 1 + LONGEST_LIST]:
            if unit.meaning.findings:
                return True
            if unit.meaning.cue in ("comma", "exception", "new", "question"):
                return False
        return False

    def _separator(self, k: int, cue: str) -> None:
        if not self.named or self.listing or not (self.denied or self.doubted):
            return
        fresh = k + 1 < len(self.units) and self.units[k + 1].meaning.fresh
        ends = self.closing or (fresh and not self.later_or[k])
        if ends or (cue == "comma" and self.doubted and not self.denied and not self.later_or[k]):
            self._end_scope()

    def _last(self) -> Mention | None:
        """Returns the last finding if nothing else has been spoken of since."""
        if not self.mentions or self.gap & {"exception", "new"}:
            return None
        last = self.mentions[-1]
        return None if self.pending and self.pending[-1] > last.unit else last

    def _after(self, k: int, unit: Unit, presence: Certainty) -> None:
        """Lets a cue speak of the findings before it: the last one, and those joined to it."""
        if self._last() is None:
            return
        plural = unit.word in ("are", "were", "have")  # "A and B are not seen", but "A, and B is not seen"
        joined = False
        for mention in reversed(self.mentions[-LONGEST_LIST:]):
            if mention.implied:
                return
            if presence == "absent":
                mention.presence, self._turned = presence, True
            else:
                self._doubt(mention, presence)
            joined = joined or bool(mention.gap & {"or"}) or (plural and bool(mention.gap & {"and"}))
            if not joined or mention.gap & {"with", "exception", "new", "seen"}:
                return
