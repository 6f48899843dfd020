"""The comparison: right numbers in the right cells, JSON without NaN, plain errors."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pyarrow.parquet
import pytest

from radrl.errors import UserError
from radrl.evaluation.metrics.records import CaseScores, Column, FindingCounts
from radrl.evaluation.metrics.usual_metrics import USUAL_METRICS
from radrl.evaluation.statistics.comparison import by_group, compare
from radrl.evaluation.statistics.intervals import bootstrap_mean, paired_difference
from radrl.example import Example
from radrl.output import tables
from radrl.output.result_files import write_outputs

EXAMPLES = [
    Example(id=f"{k}", task="report" if k % 2 else "grounding", question="q", patient=f"p{k // 4}") for k in range(80)
]
UNITS = [e.patient for e in EXAMPLES]
METRICS = {one.metric.name: one.metric for one in USUAL_METRICS}


def made_up(seed: int, shift: float = 0.0, *, samples: int = 1) -> CaseScores:
    draw = np.random.default_rng(seed)
    columns = {}
    for name, first in (("finding_f1", 1), ("clinical_error", 1), ("length", 1), ("soft_f1", 0)):
        values = np.full((samples, 80), np.nan)
        sign = -1 if name == "clinical_error" else 1
        values[:, first::2] = draw.normal(0.5 + sign * shift, 0.1, (samples, 40))
        columns[name] = Column(METRICS[name], values)
    return CaseScores(80, samples, columns, {"edema": FindingCounts(3, 1, 0)})


MODELS = {"SFT | 1": made_up(2), "GRPO": made_up(3, 0.4), "trivial baseline": made_up(1, 0.2)}


def test_cells_hold_what_the_statistics_say(tmp_path):
    found = compare(EXAMPLES, MODELS, "SFT | 1", "trivial baseline", samples=300, seed=9)
    cell = found.cells["GRPO"]["finding_f1"]
    grpo, sft = (MODELS[name].columns["finding_f1"].values.T for name in ("GRPO", "SFT | 1"))
    assert found.models == ("trivial baseline", "SFT | 1", "GRPO")
    assert (cell.n, cell.patients) == (40, 20)
    assert cell[2:5] == pytest.approx([x[0] for x in bootstrap_mean(grpo, UNITS, 300, 9)])
    assert [d.to for d in cell.differences] == ["SFT | 1", "trivial baseline"]
    first = cell.differences[0]
    assert first[2:6] == pytest.approx([x[0] for x in paired_difference(grpo, sft, UNITS, 300, 9)], rel=1e-6)
    assert first.p_holm == pytest.approx(2 * first.p)  # two headline metrics of one other model
    assert (first.significant, first.way) == (True, "better")
    assert cell.below == ()
    assert [d.to for d in found.cells["SFT | 1"]["soft_f1"].below] == ["trivial baseline"]
    assert found.cells["SFT | 1"]["length"].below == ()  # fewer words is not worse
    assert {metric.name for metric in found.metrics} == {"finding_f1", "clinical_error", "soft_f1", "length"}

    found.save(tmp_path / "c.json")
    read = json.loads((tmp_path / "c.json").read_text())
    assert read["cells"]["GRPO"]["finding_f1"]["differences"][0]["significant"] is True
    assert read["metrics"]["clinical_error"]["better"] == "lower"
    assert read["findings"]["GRPO"]["edema"] == {
        "match": 3, "false": 1, "missed": 0, "precision": 0.75, "recall": 1.0, "f1": 6 / 7,
    }  # fmt: skip


def test_lower_is_better_where_the_metric_says_so():
    found = compare(EXAMPLES, MODELS, "SFT | 1", samples=300)
    error = found.cells["GRPO"]["clinical_error"].differences[0]
    assert error.mean < 0
    assert error.way == "better"
    assert [d.to for d in found.cells["SFT | 1"]["clinical_error"].below] == ["trivial baseline"]
    assert found.cells["GRPO"]["length"].differences[0].way == "unclear"


def test_seeds_of_a_model_widen_its_interval():
    runs = [made_up(10 + k, shift) for k, shift in enumerate((0.1, 0.2, 0.3))]
    found = compare(EXAMPLES, {"SFT": made_up(2), "many": runs, "one": runs[1]}, "SFT", samples=500, baselines=())
    many, one = (found.cells[name]["finding_f1"] for name in ("many", "one"))
    means = [np.nanmean(run.columns["finding_f1"].values) for run in runs]
    assert many.mean == pytest.approx(np.mean(means))
    assert (many.seeds, many.seed_sd) == (3, pytest.approx(np.std(means, ddof=1)))
    assert many.high - many.low > 4 * (one.high - one.low)
    assert many.differences[0].test == "t over seeds and patients"
    assert many.differences[0].p > one.differences[0].p


def test_samples_of_a_case_are_averaged_and_their_spread_told():
    several = made_up(5, samples=4)
    found = compare(EXAMPLES, {"SFT": made_up(2), "drawn": several}, "SFT", samples=100)
    cell = found.cells["drawn"]["soft_f1"]
    values = several.columns["soft_f1"].values
    assert cell.mean == pytest.approx(np.nanmean(values))
    assert cell.sample_sd == pytest.approx(np.nanmean(values, axis=1).std(ddof=1))
    assert found.cells["SFT"]["soft_f1"].sample_sd is None


def test_only_cases_that_both_have_are_compared():
    part = made_up(4)
    part.columns["soft_f1"].values[0, :40] = np.nan
    found = compare(EXAMPLES, {"SFT": made_up(2), "part": part}, "SFT", samples=200, seed=1)
    d = found.cells["part"]["soft_f1"].differences[0]
    a, b = (one.columns["soft_f1"].values.T for one in (part, made_up(2)))
    assert d.n == 20
    assert d[2:6] == pytest.approx([x[0] for x in paired_difference(a, b, UNITS, 200, 1)], rel=1e-6)


def test_null_only_where_a_metric_does_not_apply():
    part = made_up(4)
    part.columns["soft_f1"].values[:] = np.nan
    found = compare(EXAMPLES, {"SFT": made_up(2), "part": part}, "SFT", samples=50)
    assert found.cells["part"]["soft_f1"] is None
    assert found.cells["SFT"]["soft_f1"] is not None
    assert json.dumps(found.to_dict()["cells"], allow_nan=False).count("null") == 1
    assert "n/a" in tables.markdown(found)


def test_groups_have_intervals_of_their_own():
    groups = ["first" if k < 40 else None if k < 60 else "last" for k in range(80)]
    found = by_group(EXAMPLES, MODELS, groups, ["soft_f1"], samples=300, seed=2)
    values = MODELS["GRPO"].columns["soft_f1"].values.T
    cell = found["last"]["GRPO"]["soft_f1"]
    assert set(found) == {"first", "last"}
    assert (cell.n, cell.patients) == (10, 5)
    assert cell[2:5] == pytest.approx([x[0] for x in bootstrap_mean(values[60:], UNITS[60:], 300, 2)])


def test_tables_keep_their_columns_whatever_a_model_is_called(tmp_path):
    found = compare(EXAMPLES, MODELS, "SFT | 1", samples=50, notes=("models were not run alike",))
    lines = tables.markdown(found).splitlines()
    rows = [line for line in lines if line.startswith("| Report: finding F1 |")]
    assert [row.replace("\\|", "").count("|") for row in rows] == [5, 4, 5]
    assert lines[0] == "Note: models were not run alike"
    model = found.models.index("SFT | 1")
    of_soft_f1 = next(line for line in lines if line.startswith("| Grounding: soft F1 |"))
    assert of_soft_f1.replace("\\|", "").split("|")[2 + model].rstrip().endswith("†")
    below, of = tables.count_below(found, found.metrics)
    assert f"{below} of {of} of all metrics" in "\n".join(lines)
    odd = compare(EXAMPLES, {"a_b & 50% {x} \\": made_up(2)}, "a_b & 50% {x} \\", samples=50)
    latex = tables.latex(odd)
    assert r"a\_b \& 50\% \{x\} \textbackslash{}" in latex
    assert all(row.replace("\\&", "").count("&") == 1 for row in latex.splitlines() if row.endswith("\\\\"))
    told = list(csv.DictReader(io.StringIO(tables.as_csv(found))))
    mine = next(row for row in told if (row["model"], row["metric"]) == ("GRPO", "soft_f1"))
    assert float(mine["value"]) == found.cells["GRPO"]["soft_f1"].mean
    assert float(mine["p_holm"]) == found.cells["GRPO"]["soft_f1"].differences[0].p_holm


def test_outputs_hold_every_case(tmp_path):
    models = {"SFT": [made_up(2), made_up(3)], "drawn": made_up(5, samples=2)}
    found = compare(EXAMPLES, models, "SFT", samples=50)
    write_outputs(tmp_path, found, EXAMPLES, models, {"Run": {"seed": 1}})
    told = pyarrow.parquet.read_table(tmp_path / "cases.parquet").to_pylist()
    assert len(told) == 4 * 80
    row = next(r for r in told if (r["model"], r["sample"], r["id"]) == ("drawn", 1, "7"))
    assert row["finding_f1"] == models["drawn"].columns["finding_f1"].values[1, 7]
    assert row["soft_f1"] is None
    read = json.loads((tmp_path / "comparison.json").read_text())
    assert read["hashes"]["manifest"]
    assert read["versions"]["numpy"] == np.__version__
    assert read["patients_needed"]["soft_f1"]["0.05"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "cases.parquet", "comparison.json", "table.csv", "table.md", "table.tex",
    }  # fmt: skip
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_outputs(tmp_path / "file", found, EXAMPLES, models)


def test_a_metric_whose_cases_are_of_one_patient_has_a_mean_and_no_interval():
    one = [e.model_copy(update={"patient": "same" if e.task == "report" else e.patient}) for e in EXAMPLES]
    found = compare(one, MODELS, "SFT | 1", "trivial baseline", samples=50)
    cell = found.cells["GRPO"]["finding_f1"]
    assert cell[:7] == (
        40,
        1,
        pytest.approx(np.nanmean(MODELS["GRPO"].columns["finding_f1"].values)),
        None,
        None,
        (),
        (),
    )
    assert found.cells["GRPO"]["soft_f1"].low is not None
    json.dumps(found.to_dict(), allow_nan=False)
    row = next(line for line in tables.markdown(found).splitlines() if line.startswith("| Report: finding F1"))
    assert f"{cell.mean:.3f} [–] |" in row


def test_errors_name_the_model():
    with pytest.raises(UserError, match=r"no model 'GRP' \(did you mean 'GRPO'\?\)"):
        compare(EXAMPLES, MODELS, "GRP")
    with pytest.raises(ValueError, match="scores of 80 cases for 10 examples"):
        compare(EXAMPLES[:10], MODELS, "GRPO")
    with pytest.raises(UserError, match="no cases"):
        compare([], {"a": CaseScores(0, 1, {})}, "a")
