"""The comparison: right numbers in the right cells, JSON without NaN, plain errors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from radrl.errors import UserError
from radrl.evaluation.comparison import compare
from radrl.evaluation.metrics import METRICS, FindingCounts, ModelScores
from radrl.evaluation.statistics import bootstrap_mean, paired_difference
from radrl.example import Example

EXAMPLES = [
    Example(id=f"{k}", task="report" if k % 2 else "grounding", question="q", patient=f"p{k // 4}") for k in range(80)
]
UNITS = [e.patient for e in EXAMPLES]


def made_up(seed: int, shift: float = 0.0) -> ModelScores:
    draw = np.random.default_rng(seed)
    values = {m.name: np.full(80, np.nan) for m in METRICS}
    for name, first in (("finding_f1", 1), ("length", 1), ("soft_f1", 0)):
        values[name][first::2] = draw.normal(0.5 + shift, 0.1, 40)
    return ModelScores(values, {}, {"edema": FindingCounts(3, 1, 0)})


MODELS = {"SFT | 1": made_up(2), "GRPO": made_up(3, 0.4), "trivial baseline": made_up(1, 0.2)}


def test_cells_hold_what_the_statistics_say(tmp_path):
    found = compare(EXAMPLES, MODELS, "SFT | 1", "trivial baseline", samples=300, seed=9)
    cell = found.cells["GRPO"]["finding_f1"]
    grpo, sft = (MODELS[name].values["finding_f1"][:, None] for name in ("GRPO", "SFT | 1"))
    assert found.models == ("trivial baseline", "SFT | 1", "GRPO")
    assert (cell.n, cell.patients) == (40, 20)
    assert cell[2:5] == pytest.approx([x[0] for x in bootstrap_mean(grpo, UNITS, 300, 9)])
    assert [d.to for d in cell.differences] == ["SFT | 1", "trivial baseline"]
    assert cell.differences[0][2:] == pytest.approx([x[0] for x in paired_difference(grpo, sft, UNITS, 300, 9)])
    assert cell.differences[0].significant
    assert cell.below == ()
    assert [d.to for d in found.cells["SFT | 1"]["soft_f1"].below] == ["trivial baseline"]
    assert found.cells["SFT | 1"]["length"].below == ()  # fewer words is not worse
    assert set(found.metrics) == {"finding_f1", "soft_f1", "length"}

    found.save(tmp_path / "c.json")
    read = json.loads((tmp_path / "c.json").read_text())
    assert read["cells"]["GRPO"]["finding_f1"]["differences"][0]["significant"] is True
    assert read["findings"]["GRPO"]["edema"] == {
        "match": 3, "false": 1, "missed": 0, "precision": 0.75, "recall": 1.0, "f1": 6 / 7,
    }  # fmt: skip


def test_null_only_where_a_metric_does_not_apply(tmp_path):
    part = made_up(4)
    part.values["soft_f1"][:] = np.nan
    found = compare(EXAMPLES, {"SFT": made_up(2), "part": part}, "SFT", samples=50)
    assert found.cells["part"]["soft_f1"] is None
    assert found.cells["SFT"]["soft_f1"] is not None
    assert json.dumps(found.to_dict()["cells"], allow_nan=False).count("null") == 1
    assert "n/a" in found.to_markdown()


def test_markdown_keeps_its_columns_whatever_a_model_is_called():
    lines = compare(EXAMPLES, MODELS, "SFT | 1", samples=50).to_markdown().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {5}
    assert any("SFT \\| 1 is below trivial baseline on Grounding: soft F1" in line for line in lines)


def test_a_metric_whose_cases_are_of_one_patient_has_a_mean_and_no_interval():
    one = [e.model_copy(update={"patient": "same" if e.task == "report" else e.patient}) for e in EXAMPLES]
    found = compare(one, MODELS, "SFT | 1", "trivial baseline", samples=50)
    cell = found.cells["GRPO"]["finding_f1"]
    assert cell == (40, 1, pytest.approx(np.nanmean(MODELS["GRPO"].values["finding_f1"])), None, None, (), ())
    assert found.cells["GRPO"]["soft_f1"].low is not None
    json.dumps(found.to_dict(), allow_nan=False)
    row = next(line for line in found.to_markdown().splitlines() if line.startswith("| **GRPO**"))
    assert f"| {cell.mean:.3f} [–] |" in row
    assert row.count("–") == 2  # finding_f1 and length


def test_errors_name_the_model():
    with pytest.raises(UserError, match=r"no model 'GRP' \(did you mean 'GRPO'\?\)"):
        compare(EXAMPLES, MODELS, "GRP")
    with pytest.raises(ValueError, match="80 values for 10 examples"):
        compare(EXAMPLES[:10], MODELS, "GRPO")
