"""Agreement with another labeler: kappa against scikit-learn, files as others write them, and one clear line else."""

import csv
import json
import math
import random
from pathlib import Path

import pytest
from shared_folder import SHARED
from sklearn.metrics import cohen_kappa_score
from typer.testing import CliRunner

from radrl.clinical.agreement import VALUES, Agreement, compare_labels
from radrl.clinical.label import labels, schemas
from radrl.commands.main import app
from radrl.errors import UserError

DATA = SHARED
SAMPLES = DATA / "chexpert_labeler" / "labeled_reports.csv"
REPORTS = [("1", "No pneumothorax. Small left effusion."), ("2", "Mild edema."), ("3", "Clear lungs.")]


def write(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_kappa_is_scikit_learns():
    draw = random.Random(0)
    for _ in range(20):
        pairs = [(draw.choice(VALUES), draw.choice(VALUES)) for _ in range(draw.randint(5, 60))]
        table = {pair: pairs.count(pair) for pair in set(pairs)}
        ours, theirs = ([str(pair[k]) for pair in pairs] for k in (0, 1))
        assert Agreement("x", table).kappa == pytest.approx(cohen_kappa_score(ours, theirs), abs=1e-12)
        there = [[pair[k] in (1, -1) for pair in pairs] for k in (0, 1)]
        assert Agreement("x", table).kappa_there == pytest.approx(cohen_kappa_score(*there), abs=1e-12, nan_ok=True)


def test_another_persons_file_is_joined_by_id_and_by_text(tmp_path):
    by_id = write(tmp_path / "a.csv", ["study_id", "pleural_effusion", "Edema"], [["2", "0", "1.0"], ["1", "1.0", ""]])
    by_text = write(tmp_path / "b.csv", ["Report Impression", "Edema"], [[" Mild  edema.", "-1.0"]])
    found, differing = compare_labels(REPORTS, "chexpert14", by_id)
    tables = {one.label: one for one in found}
    assert set(tables) == {"Pleural Effusion", "Edema"}
    assert (tables["Edema"].reports, tables["Edema"].agreed) == (2, 1.0)
    assert [(one.name, one.labels) for one in differing] == [("2", {"Pleural Effusion": (None, 0)})]
    found, differing = compare_labels(REPORTS, "chexpert14", by_text)
    assert [(one.reports, one.flips) for one in found] == [(1, 0)]
    assert [one.name for one in differing] == ["2"]
    assert math.isnan(Agreement("x", {(1, 1): 3}).kappa)


@pytest.mark.skipif(not SAMPLES.is_file(), reason=f"no samples of CheXpert's labeler below {DATA}")
def test_the_chexpert_labelers_own_output():
    with SAMPLES.open(newline="") as file:
        reports = [(str(k), row["Reports"]) for k, row in enumerate(csv.DictReader(file))]
    found, differing = compare_labels(reports, "chexpert14", SAMPLES)
    assert len(found) == 14
    assert {one.reports for one in found} == {4}
    assert [one.name for one in differing] == []


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        (["study_id", "Nothing"], [["1", "1"]], "no column of the labels"),
        (["who", "Edema"], [["1", "1"]], "needs a column of ids"),
        (["study_id", "Edema"], [["9", "1"]], "no report of it is one of ours"),
        (["study_id", "Edema"], [["1", "yes"]], "'Edema' is 'yes'"),
    ],
)
def test_other_files_are_one_line(tmp_path, header, rows, said):
    with pytest.raises(UserError, match=said) as error:
        compare_labels(REPORTS, "chexpert14", write(tmp_path / "x.csv", header, rows))
    assert "\n" not in str(error.value)


def test_the_command_prints_agreement_and_what_has_changed(tmp_path):
    reports = tmp_path / "reports.jsonl"
    reports.write_text("".join(json.dumps({"id": k, "text": t}) + "\n" for k, t in REPORTS))
    old = [[k, *("" if v is None else str(v) for v in labels(t, "chexpert14").values())] for k, t in REPORTS]
    old[1][1 + list(schemas()["chexpert14"]["labels"]).index("Edema")] = "0"
    other = write(tmp_path / "old.csv", ["id", *schemas()["chexpert14"]["labels"]], old)
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["label", str(reports), "--diff", str(other), "--page", str(page)])
    assert done.exit_code == 0, done.output
    assert "Edema: absent -> present 1" in done.output
    assert "1 reports differ" in done.output
    assert "Mild" in page.read_text()
    assert "Clear lungs" not in page.read_text()
    done = CliRunner().invoke(app, ["label", str(reports), "--compare", str(other)])
    assert "kappa" in done.output
