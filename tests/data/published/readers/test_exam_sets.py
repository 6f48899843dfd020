"""Sets of exam and benchmark questions: letters, options written twice, where counting begins, images by number."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import sets
from PIL import Image

from radrl.data.published.readers import reader
from radrl.data.published.readers._vqa import lettered
from radrl.data.published.record import Record, chosen_options
from radrl.manifest.example_set import read_manifests

COUNTS = {
    ("medxpertqa", ()): {"dev": 1, "test": 1},
    ("medxpertqa", ("part=Text",)): {"test": 1},
    ("mmmu_medical", ()): {"train": 1, "dev": 4},
    ("medframeqa", ()): {"test": 3},
    ("medqa", ()): {"train": 1, "test": 1},
    ("medqa", ("options=5",)): {"train": 1},
    ("medmcqa", ()): {"train": 2, "dev": 3},
    ("rexvqa", ()): {"train": 2, "test": 1},
}


@pytest.mark.parametrize(("name", "options"), COUNTS, ids=str)
def test_made_up_copies_are_prepared(tmp_path, prepared, name, options):
    root, out = sets.write(name, tmp_path / "in"), tmp_path / "out"
    chosen_options = dict(option.split("=") for option in options)
    summary = prepared(name, root, out, ("qa",), options=chosen_options)
    assert summary.examples == COUNTS[name, options]
    for example in read_manifests(sorted(out.glob("[dt]*.jsonl"))):
        assert example.task == ("vqa_closed" if example.choices else "vqa_open")
        assert "<image" not in example.question + "".join(example.choices)


def found(name, root, **options):
    items = list(reader(name).read(root, chosen_options(reader(name), options)))
    return {item.id: item for item in items if isinstance(item, Record)}, [
        i for i in items if not isinstance(i, Record)
    ]


def test_options_of_medxpertqa_are_asked_once(tmp_path):
    (one, _), (text, _) = (found("medxpertqa", sets.write("medxpertqa", tmp_path), part=p) for p in ("MM", "Text"))
    question = one["MM-26"].questions[0]
    assert (question.question, question.answer) == ("A sandblaster has a cough. What is it?", "Silicosis")
    assert one["MM-26"].images == ("images/MM-26-a.jpeg", "images/MM-26-b.png")
    assert (text["Text-0"].images, text["Text-0"].questions[0].answer) == ((), "Drug J")
    # a list that is not that of the options stays
    rows = [json.loads(line) for line in (tmp_path / "MM/test.jsonl").read_text().splitlines()]
    rows[0]["question"] = rows[0]["question"].replace("(B) Silicosis", "(B) Asbestosis")
    (tmp_path / "MM/test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert "Answer Choices: (A) Sarcoidosis" in found("medxpertqa", tmp_path)[0]["MM-26"].questions[0].question


def test_images_of_mmmu_are_named_by_their_places(tmp_path, prepared):
    root = tmp_path / "in"
    sets.module("mmmu_medical").write(root, wrong=True)
    records, left_out = found("mmmu_medical", root)
    asked = {name.rpartition("_")[2]: record.questions[0] for name, record in records.items() if "validation" in name}
    assert asked["1"][1:4] == ("What is shown?", "Crohn's disease", ("A mass", "Crohn's disease"))
    assert asked["2"][2:4] == ("image 1", ("image 1", "image 2", "None"))
    assert (asked["3"].question, asked["3"].answer, asked["3"].choices) == ("How many lobes has the image?", "3", ())
    assert records["validation_Clinical_Medicine_3"].meta["answers"] == ["3", "three"]
    assert asked["4"].question == "What is image 3 next to image 1?"
    why = Counter(item.why for item in left_out)
    assert why == {"no answer is published": 1, "two options are the same": 1, "not readable": 1}
    prepared("mmmu_medical", root, tmp_path / "out", ("qa",), skip_bad=True)
    (two,) = [e for e in read_manifests([tmp_path / "out/dev.jsonl"]) if e.id.endswith("_2")]
    assert [Image.open(tmp_path / "out" / path).getpixel((39, 49)) for path in two.images] == [70, 80]


def test_medmcqa_counts_options_from_0_or_1_as_its_file_does(tmp_path, refusal):
    records, left_out = found("medmcqa", sets.write("medmcqa", tmp_path))
    answers = {name: record.questions[0].answer for name, record in records.items()}
    assert answers == {"t1": "Four", "t2": "One", "v1": "One", "v2": "Four", "v3": "Three"}
    assert Counter(item.why for item in left_out) == {"an option is empty": 1, "no answer is published": 1}
    rows = [json.loads(line) for line in (tmp_path / "train.json").read_text().splitlines()]
    for cops, right in (((0, 3, 1), ["One", "Four"]), ((1, 2, 3), None), ((0, 4, 1), None)):  # the Hub's, saved as JSON
        lines = [json.dumps(row | {"cop": cop}) for row, cop in zip(rows, cops, strict=True)]
        (tmp_path / "train.json").write_text("\n".join(lines))
        if right:
            assert [found("medmcqa", tmp_path)[0][name].questions[0].answer for name in ("t1", "t2")] == right
        else:
            assert "from 0 or from 1 cannot be told" in refusal(found, "medmcqa", tmp_path)


def test_medqa_holds_letter_against_answer(tmp_path):
    sets.module("medqa").write(tmp_path, wrong=True)
    records, (wrong,) = found("medqa", tmp_path)
    assert wrong.bad
    assert wrong.detail == "answer_idx C is 'Doxycycline', answer is 'Nitrofurantoin'"
    assert records["test/0"].questions[0].choices == ("Ampicillin", "Ceftriaxone", "Doxycycline", "Nitrofurantoin")
    assert len(found("medqa", tmp_path, options="5")[0]["train/1"].questions[0].choices) == 5


def test_a_question_of_medframeqa_without_frames_is_broken(tmp_path):
    sets.module("medframeqa").write(tmp_path, wrong=True)
    records, (wrong,) = found("medframeqa", tmp_path)
    assert (wrong.bad, wrong.detail, list(records)) == (True, "it has no image", ["1", "2", "4"])
    assert records["2"].questions[0][2:4] == ("An abscess", ("A cyst", "A nodule", "An abscess"))
    assert len(records["2"].images) == 3


def test_films_of_rexvqa_and_rexgradient(tmp_path):
    records, _ = found("rexvqa", sets.write("rexvqa", tmp_path / "vqa"))
    assert (records["q1"].patient, len(records["q1"].images), records["q1"].questions[0].answer) == (
        "pA1", 2, "Pleural effusion",
    )  # fmt: skip
    root = sets.write("rexgradient", tmp_path / "reports")
    studies, _ = found("rexgradient", root)
    first = studies["pA1_aB2_s1"]
    assert (first.split, first.patient, len(first.images)) == ("train", "pA1", 2)
    assert first.report == {"findings": "Clear lungs. No effusion.", "impression": "Normal.", "indication": "Cough."}
    films, left_out = found("rexgradient", root, unit="image", view="frontal")
    assert list(films) == ["pA1_aB2_s1/one", "pA1_aB3_s2/one"]
    assert [item.id for item in left_out] == ["pA1_aB2_s1/two.png", "pC3_aB2_s3/two.png"]


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({"A": "x", "B": "y", "C": None}, ["x", "y"]),
        (["A. x", "B) y", "(C) z"], ["x", "y", "z"]),
        (["A. x", "A mass", "C. z"], ["A. x", "A mass", "C. z"]),
        ([{"letter": "B", "content": "y"}, {"letter": "A", "content": "x"}], ["x", "y"]),
        ({"A": "x", "C": "z"}, None),
        (["x", 3], None),
        ([{"letter": "A", "content": "x"}, {"letter": "A", "content": "y"}], None),
        (["x"] * 27, None),
        ("A", None),
    ],
    ids=str,
)
def test_options_by_letter(options, texts):
    if texts is None:
        with pytest.raises(ValueError, match="its options"):
            lettered(options)
    else:
        assert list(lettered(options).values()) == texts
