"""Damaged and hostile files: every one is read or refused in a line; nothing outside the root is opened."""

from __future__ import annotations

import contextlib
import gzip
import random
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import sets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sets import _damage

from radrl.data.published import joins, safe_files
from radrl.data.published.archives import archive_members, parse_xml
from radrl.data.published.asking import Asking
from radrl.data.published.prepare import Settings, prepare
from radrl.data.published.readers import reader
from radrl.data.published.tables import table
from radrl.errors import UserError

BOXED = ("chest_imagenome", "chestx_det", "chexlocalize", "coco", "padchest_gr", "tbx11k")  # their boxes are in JSON
_watched: list[Path] = []
_opened: list[str] = []


def _watch(event, arguments):
    if event == "open" and _watched and isinstance(arguments[0], (str, bytes)):
        path = str(Path(arguments[0] if isinstance(arguments[0], str) else arguments[0].decode()).resolve())
        if path.startswith((str(_watched[-1]), "/etc/passwd", "/dev/zero")):
            _opened.append(path)


sys.addaudithook(_watch)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    for name in sets.names():
        sets.write(name, folder / name)
    return folder


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sets.names()), st.integers(0, 10**9))
def test_whatever_is_damaged_ends_in_a_set_or_in_a_line(copies, tmp_path, name, seed):
    assert attempt(copies / name, tmp_path / "try", name, seed)[1] in ("made", "refused")


def attempt(whole: Path, folder: Path, name: str, seed: int) -> tuple[str, str]:
    """Prepares a damaged copy of a data set; returns what was damaged, and whether a set was made or refused."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder / "in/root")
    outside = folder / "outside"
    outside.mkdir()
    sets.picture(outside / "secret.png")
    (outside / "secret.txt").write_text("secret")
    done = _damage.damage(folder / "in/root", outside, random.Random(seed))
    _opened.clear()
    _watched.append(outside)
    message, end = "", "made"
    try:
        prepare(
            name, folder / "in/root", folder / "out", Settings(Asking(reader(name).kinds), skip_bad=True), workers=1
        )
    except UserError as error:
        message, end = str(error), "refused"
    finally:
        _watched.clear()
    assert message.isprintable(), (done, seed, message)
    assert not _opened, (done, seed, _opened)
    return done, end


def test_packed_tables_are_read_and_bombs_are_not(tmp_path, refusal, monkeypatch):
    text = b"a,b\n1,2\n"
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text))
    assert [dict(row) for row in table(tmp_path, ["t.csv"], ["a"])] == [{"a": "1"}]
    (tmp_path / "t.csv.gz").unlink()
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("__MACOSX/x", "")
        archive.writestr("folder/t.csv", text)
    assert [row.where.rsplit("/")[-1] for row in table(tmp_path, ["t.csv"], ["b"])] == ["t.csv.zip:2"]
    monkeypatch.setattr(safe_files, "UNPACKED_AT_LEAST", 10_000)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000))
    assert "far more than a data set holds" in refusal(list, table(tmp_path, ["b.csv"], ["a"]))


def test_a_bomb_in_an_archive_is_refused(tmp_path, refusal, monkeypatch):
    monkeypatch.setattr(safe_files, "UNPACKED_AT_LEAST", 10_000)
    (tmp_path / "zeros").write_bytes(bytes(10_000_000))
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(tmp_path / "zeros", "x.xml")
    assert "far more" in refusal(list, archive_members(tmp_path, ["a.tgz"], ".xml"))


@pytest.mark.parametrize(
    "page", [_damage.XML_BOMB, _damage.XML_READS, b"<a>" * 1000, b"", b"<a>&x;</a>", b"<a", b"\xff\xfe", b"<a/><b/>"]
)
def test_xml_without_entities_depth_or_tricks(page):
    with pytest.raises(ValueError, match="XML"):
        parse_xml(page)


def test_rows_and_cells_of_a_table(tmp_path, refusal):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfa, b ,,\n1,2,,\n3,4\n\n5\n6,7,8\n\xff,9,,\n")
    rows = list(table(tmp_path, ["t.csv"], ["a", "b"]))
    assert [dict(r) if isinstance(r, dict) else r.why for r in rows] == [
        {"a": "1", "b": "2"}, {"a": "3", "b": "4"}, "1 cells, not 2", "3 cells, not 2", "not UTF-8 text",
    ]  # fmt: skip
    assert "wants one column 'c', has a, b" in refusal(list, table(tmp_path, ["t.csv"], ["c"]))
    assert "holds no u.csv" in refusal(list, table(tmp_path, ["u.csv"], ["c"]))


def test_groups_and_lookups_hold_rows_that_do_not_stand_together(tmp_path):
    (tmp_path / "t.csv").write_text("k,v\nb,1\na,2\nb\nb,3\n")
    wrong, first, second = joins.grouped(table(tmp_path, ["t.csv"], ["k", "v"]), lambda row: row["k"])
    assert wrong.why == "1 cells, not 2"
    assert (first[0], [row["v"] for row in first[1]]) == ("b", ["1", "3"])
    assert second[1][0].where.endswith("t.csv:3")
    found = joins.Lookup(table(tmp_path, ["t.csv"], ["k", "v"]), lambda row: row["k"])
    assert (found.get("b")["v"], found.get("c"), len(found.wrong)) == ("1", None, 1)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400, "NaN"])
@pytest.mark.parametrize("name", [name for name in sets.names() if name in BOXED])
def test_numbers_that_no_film_has_are_left_out(copies, tmp_path, name, number):
    shutil.copytree(copies / name, tmp_path / "in")
    changed = 0
    for file in (tmp_path / "in").rglob("*.json"):
        text, count = re.subn(r"(?<=[\[ ,])\d+(?:\.\d+)?(?=[\],])", number, file.read_text())
        file.write_text(text)
        changed += count
    assert changed
    with contextlib.suppress(UserError):
        prepare(name, tmp_path / "in", tmp_path / "out", Settings(Asking(reader(name).kinds), skip_bad=True), workers=1)
