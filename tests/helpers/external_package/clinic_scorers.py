"""A scorer that somebody else's package offers."""

from radrl.example import Answer, Example, Score
from radrl.scoring import scorer


@scorer("lesion_words", tasks=("report",))
def lesion_words(examples: list[Example], answers: list[Answer], *, word: str = "nodule") -> list[Score | None]:
    """1 where answer and reference both say a word, or neither does."""
    return [
        Score(float((word in example.reference.lower()) == (word in answer.text.lower())))
        for example, answer in zip(examples, answers, strict=True)
    ]
