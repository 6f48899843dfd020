"""What holds for a manifest too large to check in full at the start."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from radrl.manifest import index
from radrl.manifest.example_set import read_manifests


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """``manifest(*rows)`` writes a manifest of which only the first line is checked in full at the start."""
    monkeypatch.setattr(index, "CHECKED_IN_FULL", 1)

    def write(*rows):
        path = tmp_path / "m.jsonl"
        base = {"task": "report", "question": "q"}
        lines = [
            json.dumps({"id": f"e{k}", **base, **row}) if isinstance(row, dict) else row for k, row in enumerate(rows)
        ]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"boxes": [{"xyxy": [0, 0, 2, 1]}]}, "boxes.0.xyxy"),
        ({"question": ""}, "question"),
        ({"referense": "x"}, "referense"),
        ({"choices": ["a"], "reference": "b"}, "none of the choices"),
    ],
)
def test_a_wrong_line_further_on_stops_whoever_asks_for_it_with_file_and_line(manifest, refusal, row, key):
    path = manifest({}, {}, "", row)
    examples = read_manifests([path])
    assert [examples[0].id, examples[1].id] == ["e0", "e1"]
    message = refusal(lambda: examples[2])
    assert message.startswith(f"{path}:4:")
    assert key in message
    assert refusal(list, examples) == message


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "a"}', '{"id": 1, "task": "report", "question": "q"}'])
def test_a_line_the_index_cannot_use_stops_at_once(manifest, refusal, line):
    assert refusal(read_manifests, [manifest({}, line)]).startswith(f"{manifest({}, line)}:2:")


def test_a_second_id_names_both_lines(manifest, refusal):
    path = manifest({}, {}, {"id": "e0"})
    assert refusal(read_manifests, [path]) == (
        f"{path}:3: id 'e0' is already used in line 1; give each Example its own id"
    )


def test_a_manifest_changed_under_a_run_is_noticed(manifest, refusal):
    path = manifest({}, {})
    examples = read_manifests([path])
    manifest({"question": "another"}, {})
    assert "was changed" in refusal(lambda: examples[1])


def test_columns_say_what_the_examples_say(examples):
    assert examples.tasks == {e.task for e in examples}
    assert examples.thinking.tolist() == [bool(e.thinking) for e in examples]
    gold = examples.select(["grounding", "report"], gold=True)
    wanted = [e.id for e in examples if e.task in ("grounding", "report") and e.meta["quality"] == "gold"]
    assert [e.id for e in gold] == wanted
    times = {"report": 0, "grounding": 2}
    assert [e.id for e in examples.repeated(times)] == [e.id for e in examples for _ in range(times.get(e.task, 1))]


@pytest.mark.parametrize("most", [1, 2, 4, 100])
def test_rows_are_of_one_image_in_the_order_of_its_first_example(examples, most):
    mixed = examples.take([5, 0, 7, 5, 1, 20, 2, 3, 4])  # 5 twice
    order, starts = mixed.rows_by_image(most)
    rows = [order[a:b].tolist() for a, b in pairwise(starts)]
    assert sorted(order.tolist()) == list(range(len(mixed)))
    assert all(len({mixed[i].images for i in row}) == 1 and len(row) <= most for row in rows)
    assert all(len({mixed[i].id for i in row}) == len(row) for row in rows)
    assert rows[0][0] == 0


def test_a_mix_takes_what_was_asked_and_the_same_every_time(manifest, tmp_path, refusal):
    first = manifest(*({} for _ in range(10)))
    second = first.rename(tmp_path / "a.jsonl")
    both = read_manifests([second, manifest(*({"id": f"b{k}"} for k in range(4)))])

    def ids(amounts, seed=0):
        return [e.id for e in both.mixed(amounts, seed)]

    assert ids([(None, None), (None, None)]) == [e.id for e in both]
    tripled = ids([(3.0, None), (0.5, None)])
    assert tripled[:30] == [f"e{k}" for k in range(10)] * 3
    assert len(tripled[30:]) == 2
    counted = ids([(None, 4), (None, 6)])
    assert len(set(counted[:4])) == 4
    assert counted[4:8] == [f"b{k}" for k in range(4)]
    assert len(set(counted[8:])) == 2
    assert counted == ids([(None, 4), (None, 6)]) != ids([(None, 4), (None, 6)], seed=1)
    assert "none to take" in refusal(both.take(range(10)).mixed, [(None, None), (None, 2)], 0)


def test_traces_are_laid_over(examples):
    given = examples.with_thinking({examples[3].id: "because."})
    assert (given[3].thinking, given[2].thinking) == ("because.", examples[2].thinking)
    assert given.take([3])[0].thinking == "because."


def test_a_manifest_read_in_parts_is_the_same(manifest, monkeypatch, refusal):
    path = manifest(*({"images": []} if k % 3 else {"patient": f"p{k}"} for k in range(200)))
    whole = read_manifests([path]).manifest_index
    monkeypatch.setattr(index, "LEAST_PART", 1000)
    monkeypatch.setattr(index, "cores", lambda: 3)
    parts = read_manifests([path]).manifest_index
    for name in ("manifest", "start", "length", "task", "images", "patients", "ids"):
        assert (getattr(whole, name) == getattr(parts, name)).all(), name
    index.start_reading([path], {})
    begun = index._begun[(path,), ()]
    assert (read_manifests([path]).manifest_index.start == whole.start).all()
    assert not index._begun
    assert all(part.done() for part in begun.parts[0])
    lines = path.read_text().splitlines()
    lines[170] = "{"
    index.start_reading([manifest(*lines)], {})
    assert refusal(read_manifests, [path]).startswith(f"{path}:171:")
    index.start_reading([path], {})
    index.stop_reading()
    assert not index._begun
