"""The trivial baseline: what it answers, and that it never looks at the test reference."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from radrl.errors import UserError
from radrl.evaluation.controls import baselines, nearest
from radrl.example import Box, Example
from radrl.manifest.example_set import ExampleSet, read_manifests
from radrl.manifest.jsonl import write_manifest


def example(id: str, task: str, question: str, reference: str = "", **more) -> Example:
    return Example(id=id, task=task, question=question, reference=reference, **more)


def box(x: float, label: str = "lung") -> Box:
    return Box(xyxy=(x, 0.2, x + 0.1, 0.6), label=label)


def as_set(folder, examples) -> ExampleSet:
    file = folder / f"{examples[0].id}.jsonl"
    write_manifest(file, examples)
    return read_manifests([file])


TEMPLATE = "The heart is enlarged. Left pleural effusion."
REPORTS = [
    *["No acute disease."] * 2,
    TEMPLATE,
    "The heart is enlarged. Left pleural effusion. Right pneumothorax.",
    "The heart is enlarged. Left pleural effusion. Pulmonary edema.",
    "The heart is enlarged. Nodule in the right upper lobe.",
]
TRAIN = [
    *(example(f"r{k}", "report", "Report?", text) for k, text in enumerate(REPORTS)),
    *(example(f"g{k}", "grounding", "Where is the  lung?", boxes=(box(x),)) for k, x in enumerate([0.1, 0.2, 0.6])),
    *(example(f"h{k}", "grounding", "Where is the heart?", boxes=(box(0.4, "heart"),)) for k in range(9)),
    *(example(f"n{k}", "grounding", "Where is the mass?", meta={"type": "mass"}) for k in range(3)),
    example("n9", "grounding", "Where is the mass?", boxes=(box(0.3, "mass"),)),
    *(
        example(f"c{k}", "vqa_closed", "Is it big?", a, choices=("yes", "no"))
        for k, a in enumerate(["yes", "no", "no"])
    ),
    *(example(f"o{k}", "vqa_open", f"Which side {k}?", a, meta={"type": "side"}) for k, a in enumerate(["left"] * 3)),
    *(example(f"s{k}", "vqa_open", f"How severe {k}?", "mild", meta={"type": "grade"}) for k in range(4)),
]
TEST = [
    example("t1", "report", "Something else?", "secret"),
    example("t2", "grounding", "where is the LUNG?", boxes=(box(0.8),)),
    example("t3", "grounding", "Where is the mass?", boxes=(box(0.8),)),
    example("t4", "vqa_closed", "Is it big?", "maybe", choices=("yes", "maybe", "no")),
    example("t5", "vqa_open", "Which lung?", "right", meta={"type": "side"}),
    example("t6", "vqa_open", "Which lung?", "right", meta={"type": "never seen"}),
]


def test_answers_are_the_usual_ones_of_the_narrowest_group():
    report, lung, mass, closed, by_type, by_task = baselines.constant_answers(TRAIN, TEST)
    assert report.text == TEMPLATE  # not the most usual text: the one that agrees best
    assert [b.xyxy for b in lung.boxes] == [(0.2, 0.2, pytest.approx(0.3), 0.6)]
    assert mass.boxes == ()
    assert (mass.text, mass.says_none) == ("none", True)
    assert (closed.text, closed.choice) == ("no", 2)
    assert by_type.text == "left"
    assert by_task.text == "mild"


def test_the_test_reference_is_never_read():
    blind = [
        e.model_copy(
            update={"reference": "other", "boxes": (box(0.5, "other"),), "images": ("x.png",), "thinking": "t"}
        )
        for e in TEST
    ]
    assert baselines.constant_answers(TRAIN, blind) == baselines.constant_answers(TRAIN, TEST)


def labelled(id: str, *labels: str, label_set: tuple[str, ...] = ("edema", "mass", "hernia"), **more) -> Example:
    reference = "" if labels else "No finding."
    return example(id, "classification", "Which?", reference, labels=labels, label_set=label_set, **more)


def test_label_sets_have_the_best_constant_one_and_the_most_usual_one(tmp_path):
    sets = [(), (), (), ("edema",), ("edema",), ("mass", "edema"), ("edema", "hernia")]
    train = [labelled(f"l{k}", *labels) for k, labels in enumerate(sets)]
    other = ("Oedema", "No Finding")
    test = [labelled("a", "hernia"), labelled("b", "No finding", label_set=other), labelled("c", label_set=("cavity",))]
    best, spelled, unknown = baselines.constant_answers(train, test)
    assert (best.text, best.labels) == ("edema", ("edema",))  # not the most usual: it agrees best with all
    assert spelled.labels == ("Oedema",)
    assert unknown.labels == ("No Finding",)  # no set of the training Examples may be named there
    blind = [e.model_copy(update={"labels": ("mass",), "reference": "mass"}) for e in test]
    assert baselines.constant_answers(train, blind) == [best, spelled, unknown]
    table = baselines.baseline_answers(as_set(tmp_path, train), as_set(tmp_path, test))
    assert [answer.labels for answer in table[baselines.USUAL]] == [("No Finding",)] * 3
    assert table[baselines.NAME] == [best, spelled, unknown]


def test_the_nearest_image_has_a_label_set_that_may_be_named(films, tmp_path):
    near, far, asked = films(0.1, 0.5, 0.12)
    train = as_set(tmp_path, [labelled("near", "mass", images=near), labelled("far", "edema", images=far)])
    test = as_set(tmp_path, [labelled("t1", images=asked), labelled("t2", label_set=("edema", "cyst"), images=asked)])
    table = baselines.baseline_answers(train, test)
    assert [answer.labels for answer in table[nearest.NAME]] == [("mass",), ("edema",)]


def test_two_labels_give_two_boxes():
    train = [example(f"b{k}", "grounding", "Lungs?", boxes=(box(0.1, "l"), box(0.6 + k / 10, "r"))) for k in range(3)]
    (found,) = baselines.constant_answers(train, [example("t", "grounding", "Lungs?")])
    assert [b.label for b in found.boxes] == ["l", "r"]
    assert found.boxes[1].xyxy[0] == pytest.approx(0.7)


def test_two_boxes_of_one_label_stay_two():
    train = [example(f"b{k}", "grounding", "Lungs?", boxes=(box(0.6 + k / 10), box(0.1))) for k in range(3)]
    (found,) = baselines.constant_answers(train, [example("t", "grounding", "Lungs?")])
    assert [b.xyxy[0] for b in found.boxes] == pytest.approx([0.1, 0.7])


def test_usual_is_what_more_than_half_have():
    """Of two halves neither is usual: a label of half of the films is left out, and where half have no box, the others'
    boxes are given."""
    both = [example(f"b{k}", "grounding", "Lungs?", boxes=(box(0.1, "l"), box(0.6, "r"))) for k in range(2)]
    left = [example(f"l{k}", "grounding", "Lungs?", boxes=(box(0.1, "l"),)) for k in range(2)]
    none = [example(f"n{k}", "grounding", "Lungs?") for k in range(4)]
    question = [example("t", "grounding", "Lungs?")]
    for train, labels in ((both + left, ["l"]), (both + left + none, ["l"]), (left + none, [])):
        (found,) = baselines.constant_answers(train, question)
        assert [b.label for b in found.boxes] == labels


def test_the_type_of_a_grounding_question_does_not_give_away_that_there_is_nothing():
    train = [example(f"a{k}", "grounding", f"Where {k}?", meta={"type": "absent"}) for k in range(2)]
    train += [example(f"b{k}", "grounding", f"Where {k}?", boxes=(box(0.1),), meta={"type": "there"}) for k in range(3)]
    (found,) = baselines.constant_answers(train, [example("t", "grounding", "Never asked", meta={"type": "absent"})])
    assert len(found.boxes) == 1


def test_a_task_without_training_examples_is_said():
    with pytest.raises(UserError, match="no training example of task 'vqa_open'"):
        baselines.constant_answers(TRAIN[:6], TEST[4:])


@pytest.fixture
def films(tmp_path):
    """``films(*shades)`` makes one grey ramp a shade, nearest to the ramp of the nearest shade; returns its paths."""

    def make(*shades: float) -> list[tuple[str, ...]]:
        x, y = np.meshgrid(np.linspace(0, 1, 32), np.linspace(0, 1, 32))
        paths = []
        for shade in shades:
            pixels = 40 + 90 * (x * shade + y * (1 - shade))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{shade}.png")
            paths.append((f"{shade}.png",))
        return paths

    return make


def test_the_nearest_image_answers_what_it_was_asked(films, tmp_path):
    a, b, c, near_a, near_b = films(0.0, 0.5, 1.0, 0.1, 0.55)
    train = [
        example("ra", "report", "Report?", "Of a.", images=a),
        example("rb", "report", "Report?", "Of b.", images=b),
        example("rc", "report", "Report?", "Of c.", images=c),
        example("ga", "grounding", "Lung?", boxes=(box(0.1),), images=a),
        example("gc", "grounding", "Lung?", boxes=(box(0.7),), images=c),
        example("va", "vqa_closed", "Which?", "left", choices=("left", "right"), images=a),
        example("vb", "vqa_closed", "Which?", "both", choices=("left", "both"), images=b),
        example("vc", "vqa_closed", "Which?", "right", choices=("left", "right"), images=c),
    ]
    test = [
        example("t1", "report", "Report?", "secret", images=near_b),
        example("t2", "grounding", "lung?", boxes=(box(0.5),), images=near_a),
        example("t3", "vqa_closed", "Which?", "right", choices=("right", "left"), images=near_b),
        example("t4", "report", "Report?", "no image"),
    ]
    found = baselines.baseline_answers(as_set(tmp_path, train), as_set(tmp_path, test))
    report, lung, which, bare = found[nearest.NAME]
    assert report.text == "Of b."
    assert lung.boxes == (box(0.1),)
    assert (which.text, which.choice) == ("right", 0)  # the nearest film's answer is no option; the next one's is
    assert bare == found[baselines.NAME][3]
    assert set(found) <= set(baselines.NAMES)


def test_brightness_and_contrast_do_not_make_an_image_another(tmp_path):
    pixels = np.random.default_rng(0).integers(60, 120, (20, 30)).astype(np.uint8)
    plain, other = (nearest.thumbnail(Image.fromarray(p)) for p in (pixels, pixels * 2 + 5))
    assert plain @ other > 0.999
    assert nearest.thumbnail(Image.new("L", (9, 9))) @ plain == 0


def test_the_most_usual_report_stands_in_the_table_where_it_differs(tmp_path):
    found = baselines.baseline_answers(as_set(tmp_path, TRAIN), as_set(tmp_path, TEST))
    assert list(found) == [baselines.NAME, baselines.USUAL]
    assert found[baselines.USUAL][0].text == "No acute disease."
    assert found[baselines.USUAL][1:] == found[baselines.NAME][1:]
    assert list(baselines.baseline_answers(as_set(tmp_path, TRAIN), as_set(tmp_path, TEST[3:]))) == [baselines.NAME]
