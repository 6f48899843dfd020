"""docs/scorers.md is what the registry says."""

from __future__ import annotations

from pathlib import Path

import radrl.scoring  # noqa: F401  registers the scorers
from radrl.example import Score
from radrl.scoring import registry, table

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_that_of_the_registry():
    assert (DOCS / "scorers.md").read_text(encoding="utf-8") == table.markdown(), (
        "radrl scorers --markdown > docs/scorers.md"
    )


def test_every_scorer_says_what_it_gives_and_what_it_needs():
    scorers = [registry.get(name) for name in registry.names()]
    assert [one.name for one in scorers if not table.describe(one)] == []
    assert [one.name for one in scorers if one.kind != "cpu" and not one.needs] == []


def test_a_scorer_of_no_family_has_a_row_too():
    def sure(examples, answers, *, word: str = "nodule", judge=None) -> list[Score | None]:
        """1 | 0, in 0-1 (arXiv 2512.10691, eq. 3): the ``word``. And more."""
        return []

    with registry.apart():
        registry.scorer("sure", tasks=("report",), higher_is_better=False, source="ours")(sure)
        *_, row = table.markdown().splitlines()
    assert row == "| `sure` | report | 0 to 1, lower is better | `word: nodule` | 1 \\| 0: the `word` | ours |  |  |"
