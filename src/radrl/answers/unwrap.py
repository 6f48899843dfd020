"""Takes off what models wrap their answers in: ``<answer>`` tags, ``\\boxed{}``, JSON, Markdown, "The answer is".

The tags are those of DeepSeek-R1's format as VLM-R1, EasyR1 and MedVLThinker ask for it, ``\\boxed{}`` that of
MedEvalKit and DeepMedix-R1, ``<|begin_of_box|>`` that of GLM-4.1V. Where there are several, the last one counts,
whatever it holds: it is what the model has come to.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from radrl.answers import json_report

Form = Literal["tags", "boxed"]
Kind = Literal["report", "boxes", "option", "words"]
MOST = 20_000  # characters of an answer that are read; no radiology answer is longer

_TAG = re.compile(
    r"<\s{0,3}(?P<close>/?)\s{0,3}(?:final[ _-]?answer|answers?|ans|conclusion|response|solution|report)\b"
    r"[^<>]{0,100}(?:>|\Z)"
    r"|\[(?P<close2>/?)(?:final[ _-]?)?answer\]|<\|(?:begin|(?P<close3>end))_of_solution\|>",
    re.I,
)
_BOX = re.compile(r"(?:\\(?:boxed|fbox)|\x08oxed|\bboxed)\s{0,3}\{|<\|begin_of_box\|>")  # \b in JSON is a backspace
_BOX_END = "<|end_of_box|>"
_BRACE = re.compile(r"\\?[{}]")
_WORD = re.compile(r"\w")
_JOINED = re.compile(r"[\s$.]{0,9}(?:and|or|and/or|[,/&;+])[\s$]{0,9}", re.I)
_KEY = re.compile(
    r"""(?:^|[{,\n])\s{0,40}["'](?:(?P<best>(?:(?:final|correct|the|my|best)[ _-]?)?answer)|(?P<report>report)
    |ans|prediction|predicted(?:[ _-]\w{1,12})?|choice|option|label|letter|response|result|output
    |(?:selected|chosen|correct|final|best)[ _-]\w{1,12}|answer[ _-](?:letter|option|choice|text))
    ["']\s{0,9}:\s{0,9}""",
    re.I | re.X,
)
_VALUE = re.compile(
    r"""(?P<double>"(?:[^"\\]|\\.){0,20000}")|'(?P<single>(?:[^'\\\n]|\\.|'(?=\w)){0,2000})'
    |(?P<list>\[[^\[\]{}]{0,2000}\])|(?P<bare>-?\d+(?:\.\d+)?|true|false|null)(?=\s{0,9}(?:[,}\]\n]|\Z))""",
    re.I | re.X | re.S,
)
_ALL_JSON = re.compile(r"\s{0,99}(?:```\w{0,20}\s{0,99})?[\[{]")
_AROUND_JSON = re.compile(r"```\w{0,20}|[{}]")
_COMMAND = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt|bb)?|mbox|bm|operatorname)\s{0,3}\{([^{}]{0,20000})\}"
)
_LATEX = re.compile(r"\\[()\[\]]|\$+(?!\d)|\\(?=[%_&#])|\\[,;! ]|~")
_FENCE = re.compile(r"^[ \t]{0,9}(?:```|~~~)[ \t]{0,3}\w{0,20}[ \t]{0,9}$", re.M)
_HEADING = re.compile(r"^[ \t]{0,9}#{1,6}[ \t]+", re.M)
_BOLD = re.compile(r"\*\*|(?<!\w)__|__(?!\w)")
_ITEM = re.compile(r"\s{0,9}(?:[-*+•>]\s{1,4}){1,3}")
_QUOTED = re.compile(r"([*_`'\"“‘]{1,9})(.*?)[*_`'\"”’]{1,9}([.!]?)", re.S)
_LEAD = re.compile(
    r"(?:^|(?<=[.!?;\n。])|(?<=, ))\s{0,9}(?:(?:so|thus|therefore|hence|then|overall|in conclusion)\b,?\s{0,3})?"
    r"(?:(?:the|my)\s)?(?:(?:final|correct|right|best|short)\s){0,2}"
    r"(?:answers?|ans)\b\.?(?:\s(?:to|for)\s(?:this|the)(?:\s\w{1,20})?\squestion)?"
    r"(?:\s{0,3}[:：=]|\s{1,3}(?:is|would be|should be)\b\s{0,3}:?|\s{1,3}[-–—](?=\s)|\s{0,3}\n)[\s:]{0,9}"
    r"|(?:^|(?<=[.!?;\n。，]))\s{0,9}(?:最终|正确)?答案\s{0,3}(?:是|为|：|:)\s{0,3}[:：]?",
    re.I,
)
_EXPLAINS = re.compile(
    r"(?<=\S)(?:\s{0,9}\n\s{0,9}|(?<=[.!?;。])\s{1,9})[*#\s]{0,9}(?:explanations?|reason(?:ing|s)?|rationale|justification)"
    r"\b\s{0,3}[*:：\n]",
    re.I,
)


class Unwrapped(NamedTuple):
    """What a text answers, the reasoning before it, and the forms that it keeps: one answer, closed, at the end."""

    text: str
    before: str = ""
    forms: frozenset[Form] = frozenset()


class _Span(NamedTuple):
    form: Form
    start: int
    inner: int  # where its content begins
    inner_end: int
    end: int
    closed: bool


def unwrap(text: str, kind: Kind) -> Unwrapped:
    """Returns what a text without thinking answers: the text itself where it is not wrapped.

    The last of ``<answer>...</answer>`` (any case, also never closed) and ``\\boxed{...}`` counts, an empty one too;
    boxes joined by "and", "or" or a comma are one answer. JSON gives the value of its key ``answer``, or else of
    ``prediction``, ``choice``, ``label`` and the like; where boxes are answered JSON stays, for it is read with its
    keys. A report loses Markdown's marks and stays as it is written; an answer in words loses
    "The answer is" too, and the explanation after it. At most 20,000 characters are returned.
    """
    if "&lt;" in text:
        text = html.unescape(text)
    found, before, forms = text, "", frozenset()
    if spans := sorted((*_tags(text), *_boxed(text)), key=lambda span: span.inner):
        found, before, forms = _last(text, spans)
        after = text[spans[-1].end :]
        if kind == "option" and (later := _LEAD.search(after)):  # "\\boxed{3.2 cm} ... Answer: B": both are said
            found = f"Answer: {found}\n{after[later.start() :]}"
    if len(found) > MOST:
        half = MOST // 2  # an option is named at the beginning or at the end
        found = found[:MOST] if kind in ("report", "boxes") else f"{found[:half]}\n{found[-half:]}"
    if "\\" in found or "$" in found:
        for _ in range(3):  # commands in commands
            found = _COMMAND.sub(r"\1", found)
        found = _LATEX.sub(" ", found)
    quoted = kind != "boxes" and ":" in found and ('"' in found or "'" in found)  # boxes are read with their keys
    if kind == "report" and quoted and (sections := json_report.of_json(found)):
        found = sections
    elif quoted and (value := _of_json(found, kind)):
        before, found = before or _reasoning(_AROUND_JSON.sub(" ", found[: value[0]])), value[1]
    if kind == "report":
        found = without_markdown(found)
    elif kind == "words":
        lead, found = _short(found)
        before = "\n\n".join(part for part in (before, lead) if part)
    return Unwrapped(found.strip(), before, forms)


def _tags(text: str) -> Iterator[_Span]:
    """Yields what stands in answer tags, never closed ones too."""
    if "<" not in text and "[" not in text:
        return
    opened: re.Match[str] | None = None
    first, cut = True, False
    for match in _TAG.finditer(text):
        closing = match.group("close") or match.group("close2") or match.group("close3")
        if opened or (closing and first):  # a first tag that closes was opened by the prompt
            start, inner = opened.span() if opened else (0, 0)
            end = match.end() if closing else match.start()
            yield _Span("tags", start, inner, match.start(), end, bool(closing and opened))
        cut = bool(opened and not closing)
        opened, first = None if closing else match, False
    # "<answer>B<answer>": the second one was meant to close
    if opened and not (cut and not text[opened.end() :].strip()):
        yield _Span("tags", opened.start(), opened.end(), len(text), len(text), False)


def _boxed(text: str) -> Iterator[_Span]:
    """Yields what stands in boxes; braces in them are counted."""
    if "box" not in text and "\x08" not in text:
        return
    after = 0
    for match in _BOX.finditer(text):
        if match.start() < after:
            continue
        end, after = len(text), len(text)
        if match.group().startswith("<"):
            if (found := text.find(_BOX_END, match.end())) >= 0:
                end, after = found, found + len(_BOX_END)
        else:
            depth = 1
            for brace in _BRACE.finditer(text, match.end()):
                depth += {"{": 1, "}": -1}.get(brace.group(), 0)
                if not depth:
                    end, after = brace.start(), brace.end()
                    break
        yield _Span("boxed", match.start(), match.end(), end, after, end < after)


def _last(text: str, spans: Sequence[_Span]) -> tuple[str, str, frozenset[Form]]:
    """Returns the content of the last span, the reasoning before it, and the forms kept."""
    last = spans[-1]
    found, start = text[last.inner : last.inner_end].strip(), last.start
    for span in reversed(spans[-27:-1]):  # "\\boxed{A} or \\boxed{B}" is one answer
        if span.form != last.form or not _JOINED.fullmatch(text, span.end, start):
            break
        found, start = f"{text[span.inner : span.inner_end]}{text[span.end : start]}{found}", span.start
    around = [span.start for span in spans if span.start < start and span.end > last.inner]
    forms = set()
    for form in {span.form for span in spans}:
        first, *others = (span for span in spans if span.form == form)
        if first.closed and not others and not _WORD.search(_TAG.sub("", text[first.end :])):
            forms.add(form)
    return found, _reasoning(text[: min([start, *around])]), frozenset(forms)


def _reasoning(text: str) -> str:
    """Returns what stands before an answer, without the words that lead to it."""
    lead = next((lead for lead in _LEAD.finditer(text) if not _WORD.search(text, lead.end())), None)
    text = text[: lead.start() if lead else None].strip(" \t\n$*#`:\\[({\"'")
    return text if _WORD.search(text) else ""


def _of_json(text: str, kind: Kind) -> tuple[int, str] | None:
    """Returns where the answer's key stands in JSON, and its value as text; None where there is none."""
    best, best_rank = None, 0
    whole = _ALL_JSON.match(text) and text.rstrip().endswith(("}", "]", "`"))
    for match in _KEY.finditer(text):
        # a box's label, say, is an answer only where the text is all JSON
        rank = 2 if match.group("best") or (match.group("report") and kind == "report") else 1
        if rank < best_rank or (rank == 1 and (kind == "boxes" or match.group("report") or not whole)):
            continue
        value = _VALUE.match(text, match.end())
        if value and not (kind == "boxes" and not (value.group("double") or value.group("single"))):
            best, best_rank = (match.start(), _said(value)), rank
    return best


def _said(value: re.Match[str]) -> str:
    if double := value.group("double"):
        try:
            return json.loads(double, strict=False).strip()
        except ValueError:
            return double[1:-1].strip()
    if listed := value.group("list"):
        return ", ".join(part.strip(" \"'\n\t") for part in listed[1:-1].split(","))
    bare = value.group("bare")
    return (value.group("single") or "").strip() if bare is None else "" if bare.lower() == "null" else bare


def without_markdown(text: str) -> str:
    """Returns a text without Markdown's fences, the signs of its headings, and its bold marks; lists stay."""
    if "```" in text or "~~~" in text:
        text = _FENCE.sub("", text)
    if "#" in text:
        text = _HEADING.sub("", text)
    return (_BOLD.sub("", text) if "**" in text or "__" in text else text).strip()


def _short(text: str) -> tuple[str, str]:
    """Returns the reasoning before a short answer, and the answer alone. Where "the answer is" stands twice with two
    different answers, it is none of them, and the text stays."""
    text, before = without_markdown(text), ""
    leads = [lead.span() for lead in _LEAD.finditer(text)]
    said = {_sentence(text[end : end + 300]) for _, end in leads}
    if len(said) == 1 and said != {""}:
        start, end = leads[-1]
        before, text = text[:start].strip(), text[end:]
    if explained := _EXPLAINS.search(text):
        text = text[: explained.start()]
    if item := _ITEM.match(text):
        text = text[item.end() :]
    if quoted := _QUOTED.fullmatch(text.strip()):
        text = quoted.group(2) + quoted.group(3)
    return before, text.strip()


def _sentence(text: str) -> str:
    return " ".join(re.findall(r"\w+", re.split(r"[\n;]|[.!?](?!\d)", text.strip(), maxsplit=1)[0].lower()))
