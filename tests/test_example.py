"""The manifest reader: what is wrong is said in one line, what is written is read back."""

import errno
import json
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radrl.errors import UserError
from radrl.example import TASKS, Box, Example, Finding
from radrl.label_names import is_nothing, label_key
from radrl.manifest.example_set import read_manifests
from radrl.manifest.jsonl import read_manifest, write_manifest

GOOD = '{"id": "a", "task": "report", "question": "q"}'


def message(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        read_manifest(path)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert str(path) in text
    return text


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        (GOOD + "\n{broken", ":2: Invalid JSON"),
        (GOOD + "\n[1]", ":2:"),
        (GOOD + "\nnull", ":2:"),
        (GOOD + "\n\n" + GOOD, ":3: id 'a' is already used in line 1"),
        ('{"id": "a", "task": "report", "question": "q", "colour": 1}', "key 'colour'.*put it under 'meta'"),
        ('{"id": "a", "task": "report", "question": "q", "co\\nlour": 1}', r"key 'co\\nlour'"),
        ('{"id": "a", "task": "report"}', "key 'question'"),
        ('{"id": "a", "task": "poem", "question": "q"}', "key 'task'"),
        ('{"id": "a", "task": "report", "question": ""}', "key 'question'"),
        (GOOD.encode() + b'\n{"id": "\xff"}', ":2: not UTF-8 text .* at byte 8"),
        (b"\x89PNG\r\n\x1a\n\x00", ":1: not UTF-8 text"),
        ("[" * 5000, ":1: Invalid JSON"),
        ('{"id": "\\ud800", "task": "report", "question": "q"}', ":1: Invalid JSON"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, content, wanted):
    assert re.search(wanted, message(tmp_path / "m.jsonl", content))


@pytest.mark.parametrize("image", ["../x.png", "a/../../x.png", "/etc/passwd", "", "a\\..\\x.png", "x\\u0000.png"])
def test_an_image_path_may_not_leave_the_folder(tmp_path, image):
    image = image if "u0000" in image else image.replace("\\", "\\\\")
    line = f'{{"id": "a", "task": "report", "question": "q", "images": ["{image}"]}}'
    assert "must be relative and stay below" in message(tmp_path / "m.jsonl", line)


@pytest.mark.parametrize(
    "box", ["[0,0,1]", "[0.5,0,0.5,1]", "[0,1,1,0]", "[0,0,1,1.01]", "[-0.1,0,1,1]", "[0,0,NaN,1]", '["a",0,1,1]']
)
def test_a_wrong_box_is_named(tmp_path, box):
    line = f'{{"id": "a", "task": "grounding", "question": "q", "boxes": [{{"xyxy": {box}}}]}}'
    assert ":1: key 'boxes.0.xyxy" in message(tmp_path / "m.jsonl", line)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"labels": ["edma"]}, "labels 'edma' are none of those that may be named: Edema, Mass, No Finding"),
        ({"reference": "edema, edma"}, "labels 'edma' are none"),
        ({"labels": ["Edema", "no findings"]}, "labels say both 'no findings' and 'Edema'"),
        ({}, "no labels; name those that are there, or say in reference that none is"),
        ({"labels": ["?"]}, r"label '\?' holds no letter or digit"),
        ({"label_set": ["Mass"]}, "give choices .* or label_set .*, not both"),
        ({"choices": ["mass", "Masses"], "labels": ["mass"]}, "the labels 'mass' and 'Masses' are the same"),
        ({"choices": [f"label {k}" for k in range(27)], "labels": ["label 1"]}, "more than there are letters"),
        ({"task": "report", "labels": ["Edema"], "choices": []}, "labels and label_set are for task classification"),
    ],
)
def test_wrong_labels_are_named(tmp_path, fields, wanted):
    line = {"id": "a", "task": "classification", "question": "q", "choices": ["Edema", "Mass", "No Finding"], **fields}
    assert re.search(f":1:.* {wanted}", message(tmp_path / "m.jsonl", json.dumps(line)))


def test_labels_are_read_from_the_reference_and_written_as_the_set_has_them():
    asked = {"id": "a", "task": "classification", "question": "q", "choices": ("Edema", "Pleural Effusion", "Normal")}
    both = Example(**asked, reference="pleural effusions and oedema.")
    assert (both.labels, both.reference) == (("Edema", "Pleural Effusion"), "pleural effusions and oedema.")
    assert Example(**asked, labels=["effusion, pleural"]).reference == "Pleural Effusion"
    for text in ("No finding", "none.", "The chest X-ray is normal."):
        assert Example(**asked, reference=text).labels == ("Normal",)
    assert Example(**asked | {"choices": ()}, reference="No finding").labels == ()


@pytest.mark.parametrize(
    ("choices", "reference", "wrong"),
    [
        (["a", "b"], "c", "reference 'c' is none of the choices"),
        ([str(i) for i in range(27)], "1", "27 choices, more than 26"),
    ],
)
def test_choices_that_cannot_be_asked_are_named_at_reading(tmp_path, choices, reference, wrong):
    line = {"id": "b", "task": "vqa_closed", "question": "q", "choices": choices, "reference": reference}
    (tmp_path / "m.jsonl").write_text(GOOD + "\n" + json.dumps(line))
    for read in (read_manifest, lambda path: list(read_manifests([path]))):
        with pytest.raises(UserError, match=f"m.jsonl:2: {wrong}"):
            read(tmp_path / "m.jsonl")


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match=r"none\.jsonl: no such manifest.*radrl phantom"):
        read_manifest(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="no such manifest"):
        read_manifest(tmp_path)


def test_an_unreadable_file_is_a_user_error(tmp_path, monkeypatch):
    path = tmp_path / "m.jsonl"
    path.write_text(GOOD)

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(UserError, match="Permission denied"):
        read_manifest(path)


def test_limit_stops_before_what_follows(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(GOOD + "\n{broken")
    assert [e.id for e in read_manifest(path, limit=1)] == ["a"]


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n" + GOOD.replace('"a"', '"b"').encode() + b"\r\n")
    assert [e.id for e in read_manifest(path)] == ["a", "b"]


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["\u2028", "\x85", "\r", "\n", "\x00", "\ufeff", "é", "e\u0301", "\U0001f9b4", "\u202e", '"', "\\", "</think>"]
)
corner = st.integers(0, 50).map(lambda v: v / 101)
boxes = st.builds(
    lambda x, y, w, h, label: Box(xyxy=(x, y, x + w, y + h), label=label),
    corner, corner, st.floats(1e-6, 0.5), st.floats(1e-6, 0.5), text,
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
findings = st.builds(
    Finding, name=text, presence=st.sampled_from(["present", "absent", "uncertain"]),
    side=st.sampled_from([None, "left", "bilateral"]), span=st.none() | st.tuples(st.integers(), st.integers()),
    boxes=st.lists(boxes, max_size=1).map(tuple),
)  # fmt: skip
names = st.lists(st.text("abc é\n.-", min_size=1), max_size=2).map(
    lambda v: tuple(f"i/{n}".replace("..", "") for n in v)
)


def _example(choices: list[str], reference: str, **fields) -> Example:
    if fields["task"] == "classification":
        names = list({label_key(name): name for name in choices if label_key(name) and not is_nothing(name)}.values())
        return Example(choices=names, labels=names[1:], reference=reference if names[1:] else "none", **fields)
    return Example(choices=(*choices, reference) if choices else (), reference=reference, **fields)


examples = st.builds(
    _example, id=text, task=st.sampled_from(TASKS), question=text.filter(bool), images=names, reference=text,
    boxes=st.lists(boxes, max_size=2).map(tuple), choices=st.lists(text, max_size=3),
    thinking=st.none() | text, findings=st.lists(findings, max_size=2).map(tuple), patient=st.none() | text,
    study=st.none() | text, source=text, meta=st.dictionaries(text, json_values, max_size=2),
)  # fmt: skip
shared_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@shared_folder
@given(st.lists(examples, min_size=1, max_size=4, unique_by=lambda e: e.id))
def test_what_is_written_is_read_back(tmp_path, written):
    path = tmp_path / "m.jsonl"
    assert write_manifest(path, written) == len(written)
    assert read_manifest(path) == written


@shared_folder
@given(st.binary(max_size=80) | st.text(max_size=60).map(lambda t: t.encode(errors="surrogatepass")))
def test_any_file_gives_examples_or_a_user_error(tmp_path, content):
    path = tmp_path / "m.jsonl"
    path.write_bytes(GOOD.encode() + b"\n" + content)
    problem = ""
    try:
        assert read_manifest(path)[0].id == "a"
    except UserError as error:
        problem = str(error)
    assert len(problem.splitlines()) <= 1


@pytest.mark.parametrize(
    "bad", [{"reference": "\ud800"}, {"id": "\udc00"}, {"meta": {"x": "\ud800"}}, {"meta": {"x": object()}}]
)
def test_what_json_cannot_hold_is_refused_before_the_file_is_touched(tmp_path, bad):
    path = tmp_path / "m.jsonl"
    path.write_text("old")
    with pytest.raises(UserError, match="Example 1, id ") as caught:
        write_manifest(path, [Example(**{"id": "a", "task": "report", "question": "q", **bad})])
    assert str(caught.value).encode()
    assert path.read_text() == "old"
