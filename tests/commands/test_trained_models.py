"""What a page says of training is what the stage wrote, and only of the weights that were judged."""

from __future__ import annotations

import json
from pathlib import Path

from radrl.commands import trained_models
from radrl.evaluation.answers.header import Header
from radrl.output.page.first_look import Training


def header(name: str, digest: str) -> Header:
    return Header(name, "x", "transformers", {}, {}, hashes={"model": digest})


def stage(folder: Path, start: str, **more) -> str:
    (folder / "model").mkdir(parents=True)
    (folder / "done.json").write_text(json.dumps({"steps": 80, "seconds": 52.8}))
    one = {"recipe": {"model": {"start": start}}, "examples": {"report": 3}, "config": {}, "device": {"type": "cpu"}}
    (folder / "run.json").write_text(json.dumps({"starts": [{}, one | more]}))
    return str(folder / "model")


def test_of_stages_and_what_is_kept_of_them(tmp_path):
    sft = stage(tmp_path / "sft", "tiny")
    grpo = stage(
        tmp_path / "g", sft, kind="grpo", films=2, device={"type": "cuda", "names": ["H", "H"], "processes": 2}
    )
    changed = stage(tmp_path / "changed", sft, recipe=None)
    places = {"A": sft, "B": grpo, "C": changed, "hub": "Qwen/Qwen3-VL-2B", "other": str(tmp_path)}
    headers = {name: header(name, name) for name in places}
    found = trained_models.of_stages(places, headers)
    assert found == {
        "A": Training("sft", 80, 52.8, 3, None, "tiny", "CPU", "A"),
        "B": Training("grpo", 80, 52.8, 3, 2, "A", "2 x H", "B"),
    }
    out = tmp_path / "out"
    (out / "predictions").mkdir(parents=True)
    kept = {name: one._asdict() for name, one in found.items()}
    (out / "comparison.json").write_text(json.dumps({"facts": {"Training": kept}}))
    for name in ("A", "B", "C"):
        (out / "predictions" / f"{name}.json").write_text(json.dumps({"model": name}))
    files = {f"new {name}": out / "predictions" / f"{name}.jsonl" for name in ("A", "B", "C")}
    headers = {"new A": header("new A", "A"), "new B": header("new B", "trained again"), "new C": header("new C", "C")}
    assert trained_models.kept(files, headers) == {"new A": found["A"]}
    assert trained_models.kept({"x": tmp_path / "no" / "where.jsonl"}, {"x": headers["new A"]}) == {}
