"""Readers of other people: in a file, in an installed package. A mistake of theirs is one line."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sets

import radrl
from radrl.data.published.readers import _others, reader, titles

ROOT = Path(__file__).parents[4]
PACKAGE = ROOT / "tests/helpers/external_package"
HEAD = "from radrl.data.published.record import *\nfrom radrl.data.published.record import Reader\n"
REPORT = 'Record("a", ("a.png",), report={"findings": "PRIVATE"})'


@pytest.fixture
def clinic(tmp_path):
    """The file of docs/data.md, as it stands there, and the folder that it reads."""
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8").split("## A reader of one's own")[1]
    file = tmp_path / "clinic.py"
    file.write_text(re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1), encoding="utf-8")
    root = tmp_path / "films"
    sets.csv(
        root / "films.csv", "file,patient,report,effusion", "a.png,p1,Clear lungs.,0", "b.png,p1,,1", "c.png,p2,x,1",
        "d.png,p3,y,"
    )  # fmt: skip
    for name in "acd":
        sets.picture(root / f"films/{name}.png")
    return file, root


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """``installed(name, value, package="one", module=text)`` installs a package that offers a reader."""
    monkeypatch.setattr(_others, "in_packages", _others.in_packages.__wrapped__)

    def call(name, value, package="one", **modules):
        folder = tmp_path / f"{package}-2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2\n")
        (folder / "entry_points.txt").write_text(f"[radrl.readers]\n{name} = {value}\n")
        for module, text in modules.items():
            (tmp_path / f"{module}.py").write_text(text)

    monkeypatch.syspath_prepend(tmp_path)
    return call


def test_the_reader_of_the_docs_makes_a_set_with_every_number_of_workers(clinic, tmp_path, refusal):
    from radrl.data.published.asking import Asking
    from radrl.data.published.prepare import Settings, prepare

    file, root = clinic
    made = [
        prepare(f"{file}:clinic", root, tmp_path / f"out{k}", Settings(Asking(("report", "yesno"))), workers=k)
        for k in (1, 2)
    ]
    assert made[0] == made[1]
    assert sum(made[0].examples.values()) == 5
    assert made[0].skipped == {"no report": 1}
    lines = [line for split in made[0].examples for line in (tmp_path / f"out1/{split}.jsonl").open()]
    assert {(e["id"], e["reference"]) for e in map(json.loads, lines)} == {
        ("clinic/a.png/report", "Clear lungs."), ("clinic/a.png/yesno/pleural effusion", "no"),
        ("clinic/c.png/report", "x"), ("clinic/c.png/yesno/pleural effusion", "yes"),
        ("clinic/d.png/report", "y"),  # a blank label is not asked about
    }  # fmt: skip
    file.write_text(file.read_text() + "\n# changed\n")
    again = refusal(prepare, f"{file}:clinic", root, tmp_path / "out1", Settings(Asking(("report", "yesno"))))
    assert f"made with another reader ({file}:clinic#" in again


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x = 1 +", ":1: SyntaxError"),
        ("\nimport no_such_module", ":2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit", ":1: SystemExit"),
        ("x = 1", "holds no Reader of the name 'own'; it has: none"),
        ("R = Reader('owm', '', ('qa',), '', '', print)", "'own' (did you mean 'owm'?)"),
        ("R = Reader('own', '', ('vqa',), '', '', print)", "reader 'own': kinds.0: Input should be 'report', 'list'"),
        ("R = Reader('own', '', (), '', '', print)", "kinds says what can be asked"),
        ("R = Reader('own', '', ('qa',), '', '', None)", "reader 'own': read: Input should be callable"),
        ("R = Reader('own', '', ('list',), '', '', print, templates={'list': 'lists'})", "templates names 'lists'"),
    ],
)
def test_a_file_that_holds_no_reader_is_refused(tmp_path, refusal, text, wanted):
    (tmp_path / "own.py").write_text((HEAD if "Reader" in text else "") + text)
    assert wanted in refusal(reader, f"{tmp_path}/own.py:own")


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (f"yield {REPORT}; raise KeyError('PRIVATE')", "own.py:3: reader 'own' fails with KeyError after 1 records"),
        ("yield 'PRIVATE'", "reader 'own' gives str, no Record or Skipped"),
        ("yield Record('PRIVATE', 'a.png')", "record 1: images: Input should be a valid tuple"),
        ("yield Record('a', ('a.png',), split='PRIVATE')", "record 1: split: Input should be 'train', 'dev' or 'test'"),
        ("yield Record('a', ('a.png',), labels={'mass': 'PRIVATE'})", "labels.mass: Input should be 'present'"),
        ("open('/no/such/PRIVATE'); yield", "reader 'own' fails with FileNotFoundError after 0 records"),
    ],
)
def test_what_a_reader_does_wrong_is_one_line_without_its_data(tmp_path, prepared, refusal, body, wanted):
    made = "R = Reader('own', '', ('report',), '', '', read)"
    (tmp_path / "own.py").write_text(f"{HEAD}def read(root, options): {body}\n{made}\n")
    said = refusal(prepared, f"{tmp_path}/own.py:own", tmp_path, tmp_path / "out", ("report",), images=False)
    assert wanted in said
    assert "PRIVATE" not in said


def test_a_wrong_label_in_the_reader_of_the_docs_is_a_broken_record(clinic, tmp_path, prepared, refusal):
    file, root = clinic
    with (root / "films.csv").open("a") as table:
        table.write("e.png,p4,z,2\n")
    name, out = f"{file}:clinic", tmp_path / "out"
    assert "films.csv:6: not readable (no key '2'); fix it" in refusal(prepared, name, root, out, ("report",))
    summary = prepared(name, root, out, ("report",), skip_bad=True)
    assert summary.bad == {"not readable": 1}
    ids = {json.loads(line)["id"] for split in summary.examples for line in (out / f"{split}.jsonl").open()}
    assert ids == {f"clinic/{film}.png/report" for film in "acd"}  # with one kind asked as with two


@pytest.mark.parametrize(("kind", "ids"), [("report", {"own/a.png"}), ("yesno", {"own/a.png/mass", "own/a.png/edema"})])
def test_ids_of_a_reader_of_one_kind_do_not_name_it(tmp_path, prepared, kind, ids):
    record = 'Record("a.png", ("a.png",), report={"findings": "x"}, labels={"mass": "present", "edema": "absent"})'
    made = f"R = Reader('own', '', ('{kind}',), '', '', read)"
    (tmp_path / "own.py").write_text(f"{HEAD}def read(root, options): yield {record}\n{made}\n")
    summary = prepared(f"{tmp_path}/own.py:own", tmp_path, tmp_path / "out", (kind,), images=False)
    (split,) = summary.examples
    assert {json.loads(line)["id"] for line in (tmp_path / f"out/{split}.jsonl").open()} == ids


def test_the_readers_name_and_the_patient_draw_the_split(tmp_path, prepared):
    (tmp_path / "own.py").write_text(
        f"{HEAD}def read(root, options):\n"
        '    yield from (Record(f"{k}", (f"{k}.png",), f"p{k}", report={"findings": "x"}) for k in range(40))\n'
        "ONE, TWO = (Reader(name, '', ('report',), '', '', read) for name in ('one', 'two'))\n"
    )
    tests = {}
    for name in ("one", "two"):
        prepared(f"{tmp_path}/own.py:{name}", tmp_path, tmp_path / name, ("report",), images=False)
        tests[name] = {json.loads(line)["patient"] for line in (tmp_path / name / "test.jsonl").open()}
        places = {f"p{k}": hashlib.blake2b(f"{name}/p{k}".encode(), digest_size=8).hexdigest() for k in range(40)}
        assert tests[name] == {patient for patient, place in places.items() if int(place, 16) / 2**64 >= 0.9}
    assert tests["one"] != tests["two"]


def test_a_file_may_not_take_the_name_of_a_reader_of_radrl(tmp_path, refusal):
    (tmp_path / "own.py").write_text(HEAD + "R = Reader('nih14', '', ('qa',), '', '', print)")
    assert "radrl has a reader 'nih14' of its own" in refusal(reader, f"{tmp_path}/own.py:nih14")


def test_a_package_that_cannot_be_used_is_refused_and_listed_with_the_reason(installed, refusal):
    installed("broken", "broken_one:R", broken_one="import no_such_module")
    assert (
        "package one 2: its 'broken' (broken_one:R) cannot be imported: ModuleNotFoundError: No module named"
        in refusal(reader, "broken")
    )
    assert dict(titles())["broken"].startswith("cannot be used: package one 2: its 'broken'")
    assert reader("nih14").title in dict(titles()).values()  # the others can be


def test_names_that_stand_twice_are_refused(installed, refusal):
    installed("nih14", "somewhere:R")
    assert "package one 2: its reader 'nih14' has the name of one of radrl's" in refusal(reader, "nih14")
    installed("twice", "somewhere:R", package="two")
    installed("twice", "elsewhere:R", package="three")
    assert "'twice' is offered by" in refusal(reader, "twice")


def test_the_reader_of_an_installed_package_is_listed_and_prepared_and_imported_only_then(tmp_path):
    sets.csv(tmp_path / "in/films.csv", "file,report", "a.png,Clear lungs.")
    sets.picture(tmp_path / "in/a.png")
    script = """
import sys
from radrl.commands.main import main
from radrl.data.published.readers import reader
reader("nih14")
assert "clinic_readers" not in sys.modules
sys.argv = ["radrl", "data", *sys.argv[1:]]
main()
"""
    path = os.pathsep.join([str(Path(radrl.__file__).parents[1]), str(PACKAGE)])
    environment = {**os.environ, "PYTHONPATH": path}

    def command(*words):
        return subprocess.run(
            [sys.executable, "-c", script, *words], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert "clinic          Films of a clinic (clinic-plugins 0.1)" in command("list").splitlines()
    command("prepare", "clinic", "--root", f"{tmp_path}/in", "--out", f"{tmp_path}/out", "--workers", "2")
    assert json.loads((tmp_path / "out/test.jsonl").read_text())["id"] == "clinic/a.png"
    assert json.loads((tmp_path / "out/prepare.json").read_text())["made_of"]["reader"] == "clinic-plugins 0.1"
