"""Reports in other languages are recognised, and never labelled as if they named nothing."""

import json

import pytest
from typer.testing import CliRunner

from radrl.clinical.language import is_english
from radrl.commands.main import app

FOREIGN = [
    "Kein Pneumothorax. Kein Erguss.",
    "Herz normal groß. Lunge frei. Kein Infiltrat, kein Pleuraerguss, kein Pneumothorax.",
    "No se observa neumotórax ni derrame pleural.",
    "signos degenerativos dorsales . no hay derrame pleural . aumento de densidad",
    "Cardiomegalia. Derrame pleural izquierdo. Atelectasia basal.",
    "Pas de pneumothorax. Pas d'épanchement pleural.",
    "Sem derrame pleural. Área cardíaca normal. Pulmões sem consolidações.",
    "Nessun versamento pleurico. Ombra cardiaca nei limiti.",
    "双肺纹理清晰，心影不大。",
    "Не выявлено патологии.",
]
ENGLISH = [
    "",
    "PTX.",
    "___ 1.2",
    "LLL PNA.",
    "No pneumothorax.",
    "S/p CABG; median sternotomy wires noted.",
    "Chest XXXX.",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_other_languages(text):
    assert not is_english(text)


@pytest.mark.parametrize("text", ENGLISH)
def test_short_english_reports(text):
    assert is_english(text)


def test_label_refuses_them_or_leaves_them_out_with_a_line(tmp_path):
    reports, out = tmp_path / "reports.jsonl", tmp_path / "labels.csv"
    texts = {"a": "No pneumothorax.", "b": FOREIGN[0]}
    reports.write_text("".join(json.dumps({"id": k, "text": t}) + "\n" for k, t in texts.items()))
    done = CliRunner().invoke(app, ["label", str(reports), "--out", str(out)])
    assert done.exit_code != 0
    assert "'b' first" in str(done.exception)
    assert not out.exists()
    done = CliRunner().invoke(app, ["label", str(reports), "--out", str(out), "--only-english"])
    assert "left out: 1 reports" in done.output
    assert [line.split(",")[0] for line in out.read_text().splitlines()] == ["id", "a"]
