"""Shortcuts: a model that has one is found out, one that has none is not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from radrl.evaluation.answers.asked_examples import GREY
from radrl.evaluation.controls import bias
from radrl.evaluation.controls.ask_controls import BiasTables
from radrl.example import Answer, Example
from radrl.manifest.example_set import read_manifests
from radrl.manifest.jsonl import write_manifest
from radrl.output.bias_tables import write_bias_tables

OPTIONS = ("effusion", "nodule", "oedema")


def asked(k: int, right: int = 0, **more) -> Example:
    return Example(
        id=f"q{k}", task="vqa_closed", question="What is it?", reference=OPTIONS[right], choices=OPTIONS,
        patient=f"p{k}", **more,
    )  # fmt: skip


EXAMPLES = [asked(k, k % 3) for k in range(12)]


def rows_by_name(rows):
    return {row["what"]: row for row in rows}


def table(pick):
    """The position table of a model whose choice is ``pick(example)``."""
    turned = bias.rotated(EXAMPLES)

    def said(example):
        choice = pick(example)
        return Answer("x" if choice is None else example.choices[choice], choice=choice)

    return rows_by_name(
        bias.positions(EXAMPLES, [said(e) for e in EXAMPLES], list(turned), [said(e) for e in turned], seed=0)
    )


def test_rotations_put_the_right_option_at_every_place_once():
    turned = bias.rotated(EXAMPLES)
    assert len(turned) == 24
    places = [
        sorted([e.choices.index(e.reference) for e in turned if e.id.startswith(f"q{k} ")] + [k % 3]) for k in range(12)
    ]
    assert places == [[0, 1, 2]] * 12
    assert len({e.id for e in turned} | {e.id for e in EXAMPLES}) == 36
    others = [Example(id="a", task="vqa_closed", question="Is it?", reference="no", choices=("yes", "no"))]
    others.append(Example(id="b", task="vqa_closed", question="?", reference="x", choices=("x", "x")))
    others.append(Example(id="c", task="vqa_open", question="?", reference="x", choices=("x", "y")))
    assert len(bias.rotated(others)) == 0


def test_a_model_that_always_says_a_is_found_out():
    rows = table(lambda example: 0)
    assert [rows[f"right where {letter} is right"]["mean"] for letter in "ABC"] == [1, 0, 0]
    assert [rows[f"picked {letter}"]["mean"] for letter in "ABC"] == [1, 0, 0]
    assert rows["same option in all rotations"]["mean"] == 0
    assert rows["picked A"]["n"] == rows["picked A"]["patients"] == 12


def test_a_model_that_knows_is_the_same_everywhere():
    rows = table(lambda example: example.choices.index(example.reference))
    assert [rows[f"right where {letter} is right"]["mean"] for letter in "ABC"] == [1, 1, 1]
    assert [rows[f"picked {letter}"]["mean"] for letter in "ABC"] == pytest.approx([1 / 3] * 3)
    assert rows["same option in all rotations"]["mean"] == 1
    unread = table(lambda example: None)
    assert unread["no option read"]["mean"] == 1
    assert unread["same option in all rotations"]["mean"] == 0


def test_controls_take_the_image_away(tmp_path):
    for k in range(3):
        Image.new("RGB", (40 + k, 30), (k, k, k)).save(tmp_path / f"{k}.png")
    films = [
        Example(id=f"{k}/{q}", task="vqa_open", question="?", reference="x", patient=f"p{k}", images=(f"{k}.png",))
        for k in range(3)
        for q in range(2)
    ]
    films.append(Example(id="bare", task="vqa_open", question="?", reference="x"))
    write_manifest(tmp_path / "films.jsonl", films)
    given = bias.with_images(read_manifests([tmp_path / "films.jsonl"]))
    assert len(given) == 6
    grey = bias.blank(given)
    assert [grey.pictures(i)[0].size for i in range(6)] == [given.pictures(i)[0].size for i in range(6)]
    assert {grey.pictures(i)[0].getpixel((3, 3)) for i in range(6)} == {GREY}
    other = bias.swapped(given, seed=1)
    assert [e.id for e in other] == [e.id for e in given]
    pairs = [(e.images[0], o.images[0]) for e, o in zip(given, other, strict=True)]
    assert all(own != others for own, others in pairs)
    assert sorted({others for _, others in pairs}) == ["0.png", "1.png", "2.png"]
    assert len(set(pairs)) == 3  # all questions of a patient get the same other one's
    assert [o.images for o in bias.swapped(given, seed=1)] == [o.images for o in other]


def test_what_is_left_without_the_image():
    real = {"f1": np.array([1.0, 1.0, 0.5, 0.5, np.nan] + [1.0] * 7), "none": np.full(12, np.nan)}
    blank = {"f1": np.array([0.5, 0.5, 0.25, 0.25, np.nan] + [0.5] * 7), "none": np.full(12, np.nan)}
    own, without = bias.controls(EXAMPLES, real, {bias.BLANK: blank}, seed=0)
    assert (own["images"], own["n"], without["n"]) == ("own", 11, 11)
    assert without["left"] == pytest.approx(0.5)
    assert without["difference"] == pytest.approx(without["mean"] - own["mean"])
    assert without["difference low"] <= without["difference"] <= without["difference high"] < 0
    assert without["p"] < 0.01


def test_length_against_score_and_its_table():
    answers = [Answer("word " * (k + 1), tokens=k) for k in range(12)]
    values = {"f1": np.arange(12) / 12.0, "flat": np.ones(12)}
    (row,), cases = bias.lengths(EXAMPLES, answers, values)
    assert (row["task"], row["metric"], row["spearman"]) == ("vqa_closed", "f1", pytest.approx(1))
    assert cases[3] == {
        "id": "q3", "task": "vqa_closed", "words": 4, "reference words": 1, "tokens": 3, "f1": 0.25, "flat": 1.0,
    }  # fmt: skip


def test_subgroups_by_age_sex_view_and_source():
    ages = [5, 17, 18, 39, 40, 59, 60, 79, 80, "061Y", "old", float("nan")]
    examples = [
        asked(k, meta={"age": age, "sex": "FM"[k % 2]}, source="A" if k < 11 else "B") for k, age in enumerate(ages)
    ]
    found = bias.subgroups(examples, {"f1": np.arange(12.0)}, seed=0)
    table = {(row["by"], row["group"]): row for row in found}
    assert {group: row["n"] for (by, group), row in table.items() if by == "age"} == {
        "0-17": 2, "18-39": 2, "40-59": 2, "60-79": 3, "80-150": 1, bias.UNKNOWN: 2,
    }  # fmt: skip
    assert table["sex", "F"]["mean"] == 5.0
    assert table["sex", "F"]["low"] <= 5 <= table["sex", "F"]["high"]
    assert table["source", "B"]["low"] is None  # of one patient there is no interval
    assert not any(by == "view" for by, _ in table)  # nothing is known of it


def test_the_tables_are_written(tmp_path):
    tables = {"S|FT": {"subgroups": bias.subgroups([asked(0, meta={"sex": "F"})], {"f1": np.ones(1)}, 0)}}
    write_bias_tables(tmp_path, BiasTables(tables, {"S|FT": [{"id": "q0", "words": 3}]}))
    assert "S\\|FT" in (tmp_path / "bias.md").read_text()
    assert json.loads((tmp_path / "bias.json").read_text())["S|FT"]["subgroups"][0]["group"] == "F"
    assert (tmp_path / "length.csv").read_text() == "model,id,words\nS|FT,q0,3\n"
