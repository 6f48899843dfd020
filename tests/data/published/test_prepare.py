"""From records to manifests: what is written, what is left out, what a stop or a wrong file does."""

from __future__ import annotations

import json
import os

import pytest
import sets

from radrl.data.published import prepare as module
from radrl.data.published import unfinished
from radrl.data.published.asking import Asking
from radrl.data.published.prepare import Settings, prepare
from radrl.data.published.readers import reader
from radrl.data.published.record import Reader, Record, Region, Skipped
from radrl.manifest.example_set import read_manifests

REPORT = {"findings": "The lungs are clear.", "impression": "Normal."}


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """``made_up(items, **settings)`` prepares these Records and Skipped, without images; returns (Summary, out)."""

    def call(items, kinds=("report",), out="out", workers=1, **settings):
        one = Reader("made_up", "", ("report", "list", "detect"), "", "", lambda root, options: iter(items))
        monkeypatch.setattr(module, "reader_of", lambda name: one)
        asked = Settings(Asking(kinds), **{"images": False, **settings})
        return prepare("made_up", tmp_path, tmp_path / out, asked, workers=workers), tmp_path / out

    return call


def lines(out, split):
    return [json.loads(line) for line in (out / f"{split}.jsonl").open()]


def records(count, **fields):
    return [Record(f"r{k}", (f"{k}.png",), patient=f"p{k // 2}", report=REPORT, **fields) for k in range(count)]


TEXT_ALONE = ("medqa", "medmcqa")


@pytest.mark.parametrize("name", sets.names())
def test_every_reader_makes_a_set_that_training_reads(name, tmp_path):
    root = sets.write(name, tmp_path / "in")
    kinds = reader(name).kinds
    size = "film" if name == "vindr_cxr" else ""  # its tables do not say what its boxes are measured in
    summary = prepare(name, root, tmp_path / "out", Settings(Asking(kinds), annotated_size=size), workers=1)
    examples = read_manifests([tmp_path / f"out/{split}.jsonl" for split in sorted(summary.examples)])
    assert len(examples) == sum(summary.examples.values()) > 0
    assert {e.source for e in examples} == {"" if name == "llava" else name}  # a LLaVA file names its own, or none
    assert all(len(examples.pictures(i)) == len(e.images) for i, e in enumerate(examples))
    assert name in TEXT_ALONE or all(e.images for e in examples)
    assert not summary.bad
    one = reader(name)
    assert all((one.title, one.layout, one.access))


def test_no_patient_is_in_two_splits_and_shares_hold(made_up):
    _, out = made_up(records(4000))
    by_split = {split: {e["patient"] for e in lines(out, split)} for split in ("train", "dev", "test")}
    assert not by_split["train"] & (by_split["test"] | by_split["dev"])
    assert not by_split["test"] & by_split["dev"]
    assert {split: round(len(of) / 2000, 1) for split, of in by_split.items()} == {
        "train": 0.8, "dev": 0.1, "test": 0.1,
    }  # fmt: skip


def test_a_record_is_asked_the_same_whatever_is_beside_it_and_wordings_vary(made_up):
    _, all_of_them = made_up(records(60), shares={"train": 1.0})
    _, some = made_up(records(60)[30:], out="some", shares={"train": 1.0})
    assert lines(some, "train") == lines(all_of_them, "train")[30:]
    assert len({e["question"] for e in lines(all_of_them, "train")}) > 4


def test_workers_change_nothing(made_up):
    items = [*records(1000), Skipped("s", "a lateral view"), *(r for r in records(1400)[1000:])]
    one, a = made_up(items, out="a")
    two, b = made_up(items, out="b", workers=3)
    assert one == two
    assert all((a / f).read_bytes() == (b / f).read_bytes() for f in ("train.jsonl", "test.jsonl", "skipped.jsonl"))


def test_a_stopped_run_goes_on_and_ends_the_same(made_up, monkeypatch):
    items = records(2000)
    _, whole = made_up(items, out="whole")
    monkeypatch.setattr(unfinished, "SECONDS_BETWEEN_SAVES", 0)
    add, left = unfinished.Manifests.add, [3]

    def stop(files, text):
        add(files, text)
        left[0] -= 1
        if left[0] == 0:
            for file in files.files.values():  # half a chunk is written, and the machine goes down
                file.write(b'{"id": "torn')
            files._save = lambda **_: None
            raise KeyboardInterrupt

    monkeypatch.setattr(unfinished.Manifests, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        made_up(items)
    monkeypatch.setattr(unfinished.Manifests, "add", add)
    seen = []
    summary, out = made_up((seen.append(k) or item for k, item in enumerate(items)))
    assert summary.records == len(items)
    assert not (out / ".parts").exists()
    for split in ("train", "dev", "test"):
        assert (out / f"{split}.jsonl").read_bytes() == (whole / f"{split}.jsonl").read_bytes()


def test_a_finished_set_is_kept_and_another_is_not_written_over_it(made_up, refusal):
    summary, out = made_up(records(10))
    assert made_up(iter(()))[0] == summary  # the reader is not asked again
    assert "another shares" in refusal(made_up, records(10), shares={"train": 1.0})
    (out / "prepare.json").unlink()
    assert "holds other files" in refusal(made_up, records(10))


def test_bad_records_stop_or_are_listed(made_up, refusal):
    bad = [
        Skipped("x", "not readable", bad=True, where="t.csv:7", detail="why"),
        Record("far", ("a.png",), frame=(100.0, 100.0), regions=(Region("mass", (10, 10, 120, 50)),)),
        Record("out", ("../a.png",), report=REPORT),
        Record("abs", ("/etc/passwd",), report=REPORT),
    ]
    for item, said in zip(
        bad, ("t.csv:7: x: not readable (why)", "outside the image", "'../a.png'", "passwd"), strict=True
    ):
        message = refusal(made_up, [*records(3), item], kinds=("report", "detect"), out=item.id)
        assert said in message
        assert "--skip-bad" in message
    summary, out = made_up([*records(3), *bad], kinds=("report", "detect"), skip_bad=True)
    assert summary.bad == {"not readable": 1, "not usable": 2, "a box lies outside its film": 1}
    listed = [json.loads(line) for line in (out / "skipped.jsonl").open()]
    assert [one["id"] for one in listed] == ["x", "far", "out", "abs"]


def test_a_stop_at_a_broken_record_among_the_first_is_gone_on_from(made_up, refusal, tmp_path):
    sets.picture(tmp_path / "0.png")
    items = [*records(1), Skipped("x", "not readable", bad=True)]
    refusal(made_up, items, images=True)
    assert (tmp_path / "out/images/0.png").is_file()  # the copy that is kept
    other = refusal(prepare, "made_up", tmp_path / "out", tmp_path / "out", Settings(Asking(("report",))))
    assert "made with another root" in other  # whose copies these are not
    summary, _ = made_up(items, images=True, skip_bad=True)
    assert (summary.records, summary.bad) == (2, {"not readable": 1})


def test_a_box_a_little_over_the_edge_is_cut(made_up):
    regions = (Region("mass", (-1, 10, 101, 50)),)
    _, out = made_up([Record("a", ("a.png",), split="test", frame=(100.0, 200.0), regions=regions)], kinds=("detect",))
    assert lines(out, "test")[0]["boxes"] == [{"xyxy": [0.0, 0.05, 1.0, 0.25], "label": "mass"}]


def test_ids_must_differ(made_up, refusal):
    twice = [*records(600), Record("r7", ("b.png",), patient="q", report=REPORT)]
    assert "two records give id 'made_up/r7/report'" in refusal(made_up, twice)


def test_nothing_to_ask_is_no_set(made_up, refusal):
    assert "no record gave an Example" in refusal(made_up, [Record("a", ("a.png",), lacks="no report")])


def test_images_that_are_missing_or_lead_out_are_named(tmp_path, prepared, refusal):
    root = sets.write("nih14", tmp_path / "in")
    secret = tmp_path / "secret.png"
    image = root / "images_001/images/00000001_000.png"
    image.rename(secret)
    assert "an image is missing" in refusal(prepared, "nih14", root, tmp_path / "a", ("list",))
    os.symlink(secret, image)
    assert "leads out" in refusal(prepared, "nih14", root, tmp_path / "b", ("list",))
    summary = prepared("nih14", root, tmp_path / "c", ("list",), skip_bad=True)
    assert (summary.examples, summary.bad) == ({"train": 1, "test": 1}, {"an image cannot be read": 1})
