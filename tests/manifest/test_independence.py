"""The unit of independence: one rule for splitting, the check for leaks and the intervals."""

from __future__ import annotations

import pytest

from radrl.data.published.prepare import _drawn
from radrl.data.published.record import Record
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.evaluation.statistics.comparison import compare
from radrl.example import Answer, Example
from radrl.manifest.independence import unit_of, units_in_words

SHARES = {"train": 0.5, "test": 0.5}


def example(name: str, **fields) -> Example:
    return Example(id=name, task="vqa_open", question="?", reference="yes", **fields)


def test_the_widest_that_is_known_is_the_unit():
    bare = example("a")
    film = bare.model_copy(update={"images": ("1.png", "2.png")})
    figure = film.model_copy(update={"study": "PMC1"})
    known = figure.model_copy(update={"patient": "p"})
    same = [known.model_copy(update={"id": "b", "study": "PMC2"}), figure.model_copy(update={"images": ("3.png",)})]
    assert [unit_of(known), unit_of(figure)] == [unit_of(one) for one in same]
    assert len({unit_of(one) for one in (bare, film, figure, known)}) == 4
    assert [units_in_words([one]) for one in (bare, film, figure, known)] == ["cases", "images", "studies", "patients"]
    assert units_in_words([known, film]) == "patients or images"


def test_patients_of_two_data_sets_are_two_but_those_of_the_same_films_are_one():
    mimic, ms_cxr, padchest = (example("a", patient="10", source=s) for s in ("mimic_cxr", "ms_cxr", "padchest"))
    assert unit_of(mimic) == unit_of(ms_cxr) != unit_of(padchest)
    assert unit_of(example("a", patient="x")) != unit_of(example("a", study="x"))


@pytest.mark.parametrize("shared", ["patient", "study", "image"])
def test_records_that_share_a_unit_are_drawn_into_one_split(shared):
    """An article has several figures, a figure several questions: none of them may tell the answer to the others."""

    def record(group: int, number: int) -> Record:
        name = f"{group}-{number}"
        image = f"{group}.png" if shared == "image" else f"{name}.png"
        return Record(name, (image,), **({} if shared == "image" else {shared: f"u{group}"}))

    splits = [{_drawn("set", record(group, k), SHARES) for k in range(6)} for group in range(40)]
    assert all(len(of) == 1 for of in splits)
    assert {split for of in splits for split in of} == {"train", "test"}


def test_intervals_are_over_the_unit():
    """Ten questions on figures of two articles say as much as two cases, whatever the figures are."""
    examples = [example(f"q{k}", study=f"PMC{k % 2}", images=(f"{k}.png",)) for k in range(10)]
    right = [[Answer("yes" if k % 2 else "no") for k in range(10)]]
    comparison = compare(examples, {"model": score_cases(examples, right)}, "model", samples=50)
    cell = comparison.cells["model"]["vqa_open accuracy"]
    assert (comparison.patients, comparison.units, cell.patients) == (2, "studies", 2)
    assert (cell.low, cell.high) == (0.0, 1.0)
