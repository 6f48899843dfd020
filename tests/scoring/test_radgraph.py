"""RadGraph on tiny random archives, against what its package said of them (golden_radcliq.json, made by
make_golden_radcliq.py); archives that are refused; the doctor."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radrl.scoring.neural import doctor, graphs, models
from radrl.scoring.neural import radgraph as radgraph_module
from radrl.scoring.neural.radgraph import RadGraph

GOLDEN = json.loads((Path(__file__).parent / "golden_radcliq.json").read_text())
PAIRS = GOLDEN["pairs"]
BOTH = [text for pair in PAIRS for text in pair]


def make_graphs(model: RadGraph, texts, size: int):
    return doctor.our_graphs(model, texts, size)[0]


@pytest.mark.parametrize("size", [1, 3, 64])
@pytest.mark.parametrize("kind", ["radgraph", "radgraph-xl"])
def test_graphs_are_the_packages_byte_for_byte(root, kind, size):
    wanted = GOLDEN["graphs-xl"] if kind == "radgraph-xl" else [one for pair in GOLDEN["graphs"] for one in pair]
    found = make_graphs(RadGraph(root / kind, "cpu"), BOTH, size)
    for text, mine, theirs in zip(BOTH, found, wanted, strict=True):
        assert json.dumps(mine) == json.dumps(theirs), text
    assert sum(len(one["entities"]) for one in found) > 40
    assert sum(len(e["relations"]) for one in found for e in one["entities"].values()) > 15


def test_no_text_and_no_word(root):
    model = RadGraph(root / "radgraph", "cpu")
    empty, blank = make_graphs(model, ["", " \n"], 2)
    assert empty == GOLDEN["empty"]
    assert empty["text"] == "None"
    assert (blank["text"], blank["entities"]) == ("", {})  # the package fails


def test_a_close_decision_is_made_in_float64(root, monkeypatch):
    model = RadGraph(root / "radgraph", "cpu")
    first, ties = doctor.our_graphs(model, BOTH, 64)
    monkeypatch.setattr(radgraph_module, "MARGIN", math.inf)
    again, all_ties = doctor.our_graphs(model, BOTH, 64)
    assert first == again
    assert (any(ties), all(all_ties)) == (False, True)
    assert model._exact is not None
    assert model._exact[0].words.dtype == torch.float64


@given(st.text(alphabet=" /,:.!?()-;%'\n\t\u00a0\u200bab\\\"nf"))
def test_splitter_of_radgraph_1(text):
    published = re.sub("(?<! )(?=[/,-,:,.,!?()])|(?<=[/,-,:,.,!?()])(?! )", r" ", text).split()
    assert graphs.split_v1(text) == published


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x-ray (1.5%).", ["x", "-", "ray", "(", "1", ".", "5", "%", ")", "."]),
        ("20%, it's.", ["20", "%", ",", "it", "'", "s", "."]),
        ("a\\nb c\nd", ["a", "b", "c", "d"]),
    ],
)
def test_splitter_of_radgraph_xl(text, words):
    assert graphs.split_xl(text) == words


def test_forms_of_f1():
    def side(*entities):
        return {"entities": {str(k): dict(zip(("tokens", "label", "relations"), e, strict=True)) for k, e in
                             enumerate(entities, 1)}}  # fmt: skip

    given_graph = side(("Effusion", "OBS", [["located_at", "2"]]), ("left", "ANAT", []), ("mass", "OBS", []))
    wanted = side(("Effusion", "OBS", []), ("left", "ANAT", []))
    found = graphs.scores(given_graph, wanted)
    assert found["simple"] == found["entity"] == pytest.approx(0.8)
    assert found["partial"] == pytest.approx(0.4)  # only "left": one has a relation, the other none
    assert found["complete"] == pytest.approx(0.4)
    assert found["relation"] == 0
    assert found["radcliq"] == pytest.approx(0.4)
    assert set(graphs.scores(given_graph, side()).values()) == {0.0}
    assert set(graphs.scores(given_graph, given_graph).values()) == {1.0}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model.loss_weights.coref", 0.2, "'model.loss_weights.coref' is 0.2; only 0 is served"),
        ("model.loss_weights.events", 1.0, "'model.loss_weights.events' is 1.0"),
        ("model.modules.coref.coref_prop", 2, "coreference is not served"),
        ("model.max_span_width", 10, "'model.max_span_width' is 10; only 8 is served"),
        ("model.feedforward_params.hidden_dims", [150, 100], "hidden_dims"),
        ("model.modules.relation.spans_per_word", None, "'model.modules.relation.spans_per_word' is missing"),
        ("model.loss_weights.ner", 0.0, "the archive has no ner"),
    ],
)
def test_what_an_archive_asks_for_and_is_not_served_is_refused(root, tmp_path, refusal, key, value, said):
    folder = shutil.copytree(root / "radgraph", tmp_path / "archive")
    config = json.loads((folder / "config.json").read_text())
    *path, last = key.split(".")
    inner = config
    for part in path:
        inner = inner[part]
    inner[last] = value
    if value is None:
        del inner[last]
    (folder / "config.json").write_text(json.dumps(config))
    assert said in refusal(RadGraph, folder, "cpu")


def _modern(folder: Path) -> None:
    for file in (folder / "vocabulary").glob("radgraph*"):
        file.rename(file.with_name("modern-" + file.name.replace("radgraph__", "radgraph-xl__")))


def _modern_encoder(folder: Path) -> None:
    (folder / "encoder" / "config.json").write_text('{"model_type": "modernbert"}')


def _code(folder: Path) -> None:
    class Code:
        def __reduce__(self):
            return print, ("run",)

    torch.save({"a": Code()}, folder / "weights.th")


def _half(folder: Path) -> None:
    (folder / "weights.th").write_bytes((folder / "weights.th").read_bytes()[:5000])


def _lacking(folder: Path) -> None:
    weights = torch.load(folder / "weights.th", weights_only=True)
    torch.save({k: v for k, v in weights.items() if "relation_scorers" not in k}, folder / "weights.th")


def _no_encoder(folder: Path) -> None:
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(re.sub(r'"model_name": "[^"]*"', '"model_name": "nobody/no-bert"', config))
    shutil.rmtree(folder / "encoder")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_modern, "modern-radgraph-xl.*; served: radgraph, radgraph-xl"),
        (_modern_encoder, "'modernbert' is not served"),
        (_code, "weights.th: not a file of tensors"),
        (_half, "weights.th: not a file of tensors"),
        (_lacking, "_relation_scorers.*is missing"),
        (_no_encoder, "hf download nobody/no-bert .* --local-dir"),
    ],
)
def test_a_wrong_archive_is_one_line(root, tmp_path, refusal, damage, said):
    folder = shutil.copytree(root / "radgraph", tmp_path / "archive")
    damage(folder)
    assert re.search(said, refusal(RadGraph, folder, "cpu"))


def test_a_folder_under_the_wrong_name(root, refusal):
    folders = {"radgraph-xl": str(root / "radgraph")}
    assert "holds radgraph, but is named" in refusal(models.load, "radgraph-xl", folders, "cpu")


def test_doctor(root, monkeypatch, refusal):
    texts = [text for text in BOTH if text.strip()]
    right = make_graphs(RadGraph(root / "radgraph", "cpu"), texts, 64)
    answer = {"version": "0.1.18", "type": "radgraph", "graphs": [*right[:-1], None], "seconds": 1.0}
    monkeypatch.setattr(doctor, "reference_graphs", lambda *_: answer)
    n = len(texts)
    said = doctor.compare_with_package(root / "radgraph", texts, "python", "cpu")
    assert said == f"identical: {n} of {n} reports (radgraph on cpu, package radgraph 0.1.18); the package fails on 1"
    answer["graphs"] = [*right[:1], {**right[1], "text": "x"}, *right[2:]]
    assert doctor.compare_with_package(root / "radgraph", texts, "python", "cpu").startswith(
        f"different: 1 of {n} reports"
    )
    monkeypatch.undo()
    assert "name its python with --python" in refusal(
        doctor.compare_with_package, root / "radgraph", ["a"], "/bin/false", "cpu"
    )
    assert "cannot run" in refusal(doctor.compare_with_package, root / "radgraph", ["a"], "/nowhere/python", "cpu")
