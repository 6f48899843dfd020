"""Values lie in the row of their Example, each metric sees only its own tasks, and sets are judged as sets."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from radrl.evaluation.metrics.records import FindingCounts
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.evaluation.metrics.usual_metrics import MAIN_METRICS
from radrl.evaluation.statistics.comparison import compare
from radrl.example import TASKS, Answer, Box, Example, WrongBox
from radrl.scoring import registry

BOX = Box(xyxy=(0.1, 0.1, 0.5, 0.5), label="mass")
OTHER = Box(xyxy=(0.6, 0.6, 0.9, 0.9), label="mass")
EXAMPLES = [
    Example(id="open", task="vqa_open", question="Which side?", reference="left lung"),
    Example(id="closed", task="vqa_closed", question="Big?", reference="no", choices=("yes", "no")),
    Example(id="report", task="report", question="Report?", reference="Left pleural effusion. The heart is enlarged."),
    Example(id="box", task="grounding", question="Where?", boxes=(BOX,)),
    Example(id="report 2", task="report", question="Report?", reference="No pleural effusion."),
    Example(id="no box", task="grounding", question="Where?"),
    Example(id="closed 2", task="vqa_closed", question="Small?", reference="yes", choices=("yes", "no")),
]
ANSWERS = [
    Answer("left"),
    Answer("no", choice=1),
    Answer("Right pleural effusion. The heart is enlarged. Nodule in the left upper lobe."),
    Answer("mass", boxes=(BOX, OTHER), well_formed=False),
    Answer("No pleural effusion."),
    Answer("mass", boxes=(OTHER,)),
    Answer("no", choice=1),
]
none = np.nan


def value(column) -> float:
    return float(np.mean([s.at(np.ones((1, len(s.there))))[0] for s in column.statistics]))


@pytest.fixture(scope="module")
def found():
    return score_cases(EXAMPLES, [ANSWERS])


def test_each_value_stands_in_its_row(found):
    rows = {name: column.by_case for name, column in found.columns.items()}
    np.testing.assert_equal(rows["vqa_open accuracy"], [0, *[none] * 6])
    np.testing.assert_equal(rows["token_recall"], [0.5, *[none] * 6])
    np.testing.assert_equal(rows["vqa_closed accuracy"], [none, 1, none, none, none, none, 0])
    np.testing.assert_equal(rows["format"], [1, 1, 1, 0, 1, 1, 1])
    np.testing.assert_equal(rows["length"], [none, none, 13, none, 3, none, none])
    np.testing.assert_allclose(rows["finding_f1"], [none, none, 2 / 5, none, 1, none, none])
    np.testing.assert_allclose(rows["soft_f1"], [none, none, none, 2 / 3, none, 0, none])
    np.testing.assert_allclose(rows["chexpert14_f1_examples"], [none, none, 4 / 5, none, 1, none, none])
    assert {MAIN_METRICS[example.task] for example in EXAMPLES} <= set(rows)
    assert set(MAIN_METRICS) == set(TASKS)


def test_boxes_are_judged_over_the_set(found):
    values = {name: value(found.columns[name]) for name in found.columns}
    assert values["recall_50"] == 1
    assert values["precision_50"] == pytest.approx(1 / 3)  # the box where none is counts
    assert values["map50_coco"] == pytest.approx(1 / 3)
    assert values["empty_kept"] == 0
    assert values["empty_missed"] == 0
    assert found.empty == {
        "reference none, answer none": 0, "reference none, answer some": 1, "reference none, answer unreadable": 0,
        "reference some, answer none": 0, "reference some, answer some": 1, "reference some, answer unreadable": 0,
    }  # fmt: skip
    assert values["yes_f1"] == 0


def test_wrong_boxes_count_and_what_cannot_be_read_is_said():
    examples = [
        Example(id="two", task="grounding", question="?", boxes=(BOX.model_copy(update={"label": "left lung"}), OTHER)),
        Example(id="none", task="grounding", question="?"),
        Example(id="one", task="grounding", question="?", boxes=(OTHER,)),
    ]
    answers = [
        Answer(
            "x", boxes=(BOX, OTHER.model_copy(update={"label": "left lung"})), wrong=(WrongBox(0, "mass"),), clamped=1
        ),
        Answer("x", wrong=(WrongBox(0),)),
        Answer("There is a mass."),
    ]
    found = score_cases(examples, [answers])
    values = {name: value(column) for name, column in found.columns.items()}
    assert values["precision_50"] == 2 / 4  # labels are not looked at, wrong boxes are
    assert values["recall_50"] == 2 / 3
    assert values["soft_f1"] == pytest.approx((4 / 5 + 0 + 0) / 3)
    assert values["soft_f1_labels"] == values["map50_coco_by_label"] == 0
    assert values["map50_coco"] == pytest.approx(2 / 4 * 67 / 101)
    assert (values["box_wrong"], values["box_clamped"]) == (2 / 4, 1 / 4)
    assert values["unreadable"] == 1 / 3
    assert (values["empty_kept"], values["empty_missed"]) == (0, 1 / 2)
    assert found.empty["reference some, answer unreadable"] == found.empty["reference none, answer some"] == 1
    sure = score_cases(examples, [answers], confidence=[(0.1, 0.9, 0.8), (0.2,), ()])
    assert value(sure.columns["map50_coco"]) == pytest.approx(67 / 101)  # the wrong ones are the least sure


def test_silence_is_no_answer_that_nothing_is_there():
    found = score_cases(EXAMPLES[5:6], [[Answer("  ")]])
    assert value(found.columns["empty_kept"]) == 0
    assert value(found.columns["soft_f1"]) == 0


def test_confidence_of_boxes_makes_the_curve():
    sure = [None, None, None, (0.9, 0.1), None, (0.5,), None]
    found = score_cases(EXAMPLES, [ANSWERS], confidence=sure)
    assert value(found.columns["map50_coco"]) == 1  # the right box is the surest of all
    with pytest.raises(ValueError, match="a confidence for each answer box"):
        score_cases(EXAMPLES, [ANSWERS], confidence=[None] * 3 + [(0.9,)] + [None] * 3)
    with pytest.raises(ValueError, match="one sample"):
        score_cases(EXAMPLES, [ANSWERS, ANSWERS], confidence=sure)


def test_confidence_of_yes_gives_auroc():
    found = score_cases(EXAMPLES, [ANSWERS], confidence=[None, 0.2, None, (0.1, 0.2), None, (0.3,), 0.4])
    assert value(found.columns["yes_auroc"]) == 1
    assert "yes_auroc" not in score_cases(EXAMPLES, [ANSWERS]).columns


def test_labels_that_have_no_reference_box_are_no_category():
    examples = [
        Example(id="a", task="grounding", question="?", boxes=(BOX.model_copy(update={"label": "left lung"}), OTHER)),
        Example(id="b", task="grounding", question="?", boxes=(OTHER,)),
    ]
    answers = [Answer("x", boxes=(BOX.model_copy(update={"label": "left lung"}),)), Answer("x", boxes=(OTHER,))]
    found = score_cases(examples, [answers])
    assert value(found.columns["map50_coco_by_label"]) == pytest.approx((1 + 51 / 101) / 2)
    assert value(found.columns["map50_coco"]) == pytest.approx(67 / 101)


def test_a_finding_on_the_wrong_side_is_false_and_missed(found):
    findings = found.findings
    assert findings["pleural effusion"] == FindingCounts(match=0, false=1, missed=1)
    assert findings["cardiomegaly"] == FindingCounts(match=1, false=0, missed=0)
    assert findings["nodule"] == FindingCounts(match=0, false=1, missed=0)
    assert findings["nodule"].recall is None
    assert findings["nodule"].f1 == 0


def test_scorers_of_a_recipe_are_metrics_once_each():
    scorers = [
        ("report", registry.get("bleu_2")),
        ("grounding", registry.get("soft_f1")),
        ("vqa_open", registry.get("bleu_2")),
    ]
    scorers.append(("report", registry.get("repetition").with_options({"n": 2})))
    columns = score_cases(EXAMPLES, [ANSWERS], scorers).columns
    assert {"bleu_2", "vqa_open bleu_2", "repetition(n=2)"} <= set(columns)
    assert [name for name in columns if "soft_f1" in name] == ["soft_f1"]
    told = registry.get("bleu_2").corpus_value(
        (EXAMPLES[2], EXAMPLES[4]),
        (ANSWERS[2], ANSWERS[4]),
        registry.get("bleu_2")((EXAMPLES[2], EXAMPLES[4]), (ANSWERS[2], ANSWERS[4])),
    )
    assert value(columns["bleu_2"]) == pytest.approx(told)
    assert value(columns["bleu_2"]) != pytest.approx(np.nanmean(columns["bleu_2"].by_case))


def test_every_metric_declares_what_it_is(found):
    for column in score_cases(EXAMPLES, [ANSWERS, ANSWERS], [("report", registry.get("cider"))]).columns.values():
        metric = column.metric
        assert metric.tasks
        assert set(metric.tasks) <= set(TASKS)
        assert metric.low < metric.high
        assert metric.better in ("higher", "lower", "neither")
        assert ": " in metric.title
        assert metric.about
        known = column.values[~np.isnan(column.values)] if column.values is not None else np.array([value(column)])
        assert ((known >= metric.low) & (known <= metric.high)).all(), metric.name


def test_answers_must_match_the_examples():
    with pytest.raises(ValueError, match="4 answers for 7 examples"):
        score_cases(EXAMPLES, [ANSWERS[:4]])
    with pytest.raises(ValueError, match="no sample"):
        score_cases(EXAMPLES, [])


@pytest.mark.parametrize(
    ("run", "said", "wanted", "figures"),
    [
        ("manual_template_target_b4rouge", "result/test_result.json", "result/test_refs.json", "test_summary.json"),
        (
            "qwen_dino_sft_rag_top20_copy_oracle_cw1_lr2e5_logp_top20",
            "test_preds.json",
            "test_refs.json",
            "test_metrics.json",
        ),
    ],
)
def test_the_authors_figures_come_out_of_a_comparison(shared_data, run, said, wanted, figures):
    folder = shared_data / "iu_metric_runs" / run
    said, wanted, figures = (json.loads((folder / name).read_text()) for name in (said, wanted, figures))
    examples = [Example(id=key, task="report", question="?", reference=wanted[key][0]) for key in said]
    names = {
        "Bleu_1": "bleu_1",
        "Bleu_2": "bleu_2",
        "Bleu_3": "bleu_3",
        "Bleu_4": "bleu_4",
        "ROUGE_L": "rouge_l_coco",
        "CIDEr": "cider",
    }
    scorers = [("report", registry.get(name)) for name in names.values()]
    scores = score_cases(examples, [[Answer(said[key][0]) for key in said]], scorers)
    cells = compare(examples, {"theirs": scores}, "theirs", samples=200).to_dict()["cells"]["theirs"]
    for theirs, ours in names.items():
        assert cells[ours]["mean"] == pytest.approx(figures[theirs], abs=1e-6), ours
        assert cells[ours]["low"] < figures[theirs] < cells[ours]["high"]
        assert not math.isnan(cells[ours]["mean"])
