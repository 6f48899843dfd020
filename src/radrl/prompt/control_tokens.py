"""Control tokens in texts of the data: ``<|im_end|>`` in a report, ``<image>`` in a question, ``</think>`` in a trace.

A chat template and its tokenizer tell a conversation's marks from its words by their spelling alone. So a word joiner
(U+2060), which is invisible and has no width, is put behind the first character of every mark that a text of the data
holds. This was chosen over switching the tokenizer's special tokens off for parts of a prompt since it is the one way
that goes everywhere: TRL and vLLM tokenize prompts themselves, and a server is sent strings. Texts without marks stay
as they are, byte by byte; `restored` takes the joiner out of what a model has written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from radrl.errors import UserError
from radrl.example import Box, Example, Turn

JOINER = "\u2060"
_JOINED = re.compile(rf"(?<=[<\[◁]){JOINER}")
_LOOKS_LIKE_ONE = re.compile(r"[<\[◁(|].*[>\]▷)|]", re.DOTALL)
# Marks of chat models, for texts that go where their tokenizer is not known; some are none of a tokenizer's tokens but
# read by a processor (<image>) or by a template ([INST] of Llama 2).
_FAMILIES = (
    rf"<[|｜][^\s<>{JOINER}]{{1,80}}>|<[^\s<>{JOINER}]{{1,80}}[|｜]>",  # Qwen, Llama 3, Phi, GLM, DeepSeek, Gemma 4
    r"</?(?:s|bos|eos|pad|unk|mask|sop|eop|image|img|video|audio|think|tools?|tool_calls?|tool_response|arg_(?:key|value)|ref|box|quad"
    r"|start_of_(?:turn|image)|end_of_(?:turn|image|utterance)|image_soft_token|fake_token_around_image|global-img"
    r"|IMG_CONTEXT|im_(?:start|end|patch|col)|row_\d{1,2}_col_\d{1,2}|(?:loc|seg|unused)\d{1,4})>",
    r"<</?SYS>>",
    r"\[/?(?:INST|SYSTEM_PROMPT|IMG|IMG_BREAK|IMG_END|THINK|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT"
    r"|ARGS|CALL_ID|(?:BEGIN_)?AUDIO|gMASK|multimodal)\]",  # Llama 2, Mistral, GLM, Gemma
    rf"◁[^\s◁▷{JOINER}]{{1,40}}▷",  # Kimi
)


class ControlTokens:
    """The marks that a text of the data may not hold: those of the known families, and ``own`` ones of a tokenizer."""

    def __init__(self, own: Sequence[str] = (), normalizer: Any = None, undone: frozenset[str] = frozenset()) -> None:
        """``normalizer`` is that of a tokenizer which looks for marks in what it makes of a text; ``undone`` are those
        that it finds although they are parted."""
        literal = [re.escape(token) for token in sorted(own, key=len, reverse=True)]
        self.pattern = re.compile("|".join((*literal, *_FAMILIES)))
        self.normalizer, self.undone = normalizer, undone

    def found_in(self, text: str) -> list[str]:
        """Returns the marks of a text, in its order."""
        return self.pattern.findall(text) or self.pattern.findall(self._normalized(text))

    def plain(self, text: str) -> str:
        """Returns a text in which no mark is left.

        Raises:
            UserError: the tokenizer would find one all the same.
        """
        text = self._parted(text)
        normalized = self._normalized(text)
        return self._parted(normalized) if self.pattern.search(normalized) else text

    def _parted(self, text: str) -> str:
        while found := set(self.pattern.findall(text)):  # in a mark that is parted another may stand
            if found & self.undone:
                raise UserError(f"the model's tokenizer cannot read {min(found & self.undone)} as text; take it out")
            text = self.pattern.sub(lambda match: match[0][0] + JOINER + match[0][1:], text)
        return text

    def joined(self, pieces: Sequence[str]) -> str:
        """Returns the pieces of a text as one, parted where a mark would come of two of them. A mark within one piece
        stays: pieces of the data are `plain` already, the others are the user's own."""
        text = "".join(pieces)
        if len(self.pattern.findall(text)) > sum(len(self.pattern.findall(piece)) for piece in pieces):
            return JOINER.join(filter(None, pieces))
        return text

    def _normalized(self, text: str) -> str:
        return text if self.normalizer is None else self.normalizer.normalize_str(text)

    def plain_example(self, example: Example) -> Example:
        """Returns an Example whose texts are `plain`; the same one where they are already.

        Raises:
            UserError: the tokenizer would find a mark all the same.
        """
        if not any(self.found_in(text) for _, text in texts_of(example)):
            return example
        try:
            return example.model_copy(
                update={
                    **{name: self.plain(getattr(example, name)) for name in ("question", "reference")},
                    **{name: tuple(map(self.plain, getattr(example, name))) for name in LISTS},
                    "thinking": example.thinking and self.plain(example.thinking),
                    "boxes": self._plain_boxes(example.boxes),
                    "history": tuple(map(self._plain_turn, example.history)),
                }
            )
        except UserError as error:
            raise UserError(f"Example '{example.id}': {error}") from None

    def _plain_boxes(self, boxes: Sequence[Box]) -> tuple[Box, ...]:
        return tuple(box.model_copy(update={"label": self.plain(box.label)}) for box in boxes)

    def _plain_turn(self, turn: Turn) -> Turn:
        said = {name: self.plain(getattr(turn, name)) for name in ("question", "answer")}
        return turn.model_copy(update={**said, "boxes": self._plain_boxes(turn.boxes)})


LISTS = ("choices", "labels", "label_set")
FAMILIES = ControlTokens()


@lru_cache(maxsize=16)
def of_tokenizer(tokenizer: Any) -> ControlTokens:
    """Returns the marks of a tokenizer: those of the known families, its special tokens, and whatever else was added to
    its vocabulary and looks like a mark. Coordinates (``0.25``), blanks and words that were added are none."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    own = {
        # without the signs that a template's next mark may begin with: Falcon's ">>TITLE<<" could end in that
        number: token.content.rstrip("<[◁")
        for number, token in added.items()
        if len(token.content.strip("<[◁ \n\t")) > 1
        and JOINER not in token.content
        and (token.special or _LOOKS_LIKE_ONE.fullmatch(token.content))
    }
    backend = getattr(tokenizer, "backend_tokenizer", None)
    normalizer = backend.normalizer if backend and any(added[number].normalized for number in own) else None
    known = ControlTokens(list(own.values()), normalizer)
    rare = getattr(tokenizer, "unk_token_id", None)  # what any rare character may become, the joiner too
    parted = [known.plain(added[number].content) for number in own]
    encoded = tokenizer(parted, add_special_tokens=False)["input_ids"] if parted else []
    known.undone = frozenset(
        mark for (number, mark), ids in zip(own.items(), encoded, strict=True) if number in ids and number != rare
    )
    return known


def texts_of(example: Example) -> Iterator[tuple[str, str]]:
    """Yields the texts of an Example that a model is shown or taught, each with its key's name."""
    yield from (("question", example.question), ("reference", example.reference), ("thinking", example.thinking or ""))
    yield from ((name, text) for name in LISTS for text in getattr(example, name))
    yield from (("boxes", box.label) for box in example.boxes)
    for turn in example.history:
        yield from (("history", text) for text in (turn.question, turn.answer, *(box.label for box in turn.boxes)))


def restored(text: str) -> str:
    """Returns a text that a model has written without the joiners that it was shown or taught."""
    return _JOINED.sub("", text) if JOINER in text else text
