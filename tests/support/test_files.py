"""Files are whole or not there; of a journal no whole line is lost, and two processes do not write one."""

import errno
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.errors import UserError
from radrl.support import files
from radrl.support.files import Journal, journal_lines, lock, numbered_lines, write_json, write_text


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failed_write_leaves_the_old_file_and_no_part_of_the_new(tmp_path, monkeypatch, step, code):
    path = tmp_path / "x.txt"
    write_text(path, "old")

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, step, fail)
    wanted = "Input/output error" if code == errno.EIO else "no space left on device; free some and run again"
    with pytest.raises(UserError, match=rf"x\.txt: .*{wanted}"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_an_interrupt_leaves_no_part_either(tmp_path, monkeypatch):
    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "x.txt", "new")
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_text(tmp_path / "file" / "x.txt", "new")
    with pytest.raises(UserError, match="surrogate"):
        write_text(tmp_path / "x.txt", "\ud800")
    assert os.listdir(tmp_path) == ["file"]


def test_json_with_nan_is_an_error_and_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert os.listdir(tmp_path) == []


@settings(deadline=None)  # fsync takes what the disk takes
@given(st.lists(st.text(max_size=9).map(lambda t: t.replace("\n", " ")), max_size=4), st.data())
def test_a_kill_at_any_byte_loses_the_torn_line_only(tmp_path_factory, texts, data):
    path = tmp_path_factory.mktemp("torn") / "deep" / "a.jsonl"
    with Journal(path) as journal:
        journal.append(*texts)
    content = path.read_bytes()
    assert content == "".join(text + "\n" for text in texts).encode()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole = content[: content.rfind(b"\n", 0, cut) + 1]
    there = [line + b"\n" for line in whole.split(b"\n")[:-1] if line.strip()]
    assert [line for _, line in journal_lines(path)] == there
    with Journal(path) as journal:
        assert path.read_bytes() == whole
        journal.append("\ud800")
    assert path.read_bytes() == whole + b"\\ud800\n"  # JSON's own escape


def test_a_torn_line_longer_than_a_piece_is_cut(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"whole\n" + b"x" * (2 * files.PIECE + 1))
    with Journal(path):
        assert path.read_bytes() == b"whole\n"
    path.write_bytes(b"x" * files.PIECE)
    with Journal(path):
        assert path.read_bytes() == b""


def test_a_second_writer_is_refused_until_the_first_one_is_gone(tmp_path, refusal):
    path = tmp_path / "a.jsonl"
    waiting = f"from radrl.support.files import Journal\nwith Journal({str(path)!r}): print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", waiting], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        assert refusal(Journal(path).__enter__) == f"{path}: another process is writing it; wait for it"
        other.kill()
    with Journal(path) as journal:
        journal.append("{}")
    assert os.listdir(tmp_path) == ["a.jsonl"]  # no lock stays behind


def test_several_processes_add_whole_lines_to_a_shared_journal(tmp_path):
    path = tmp_path / "a.jsonl"
    adding = (
        "import sys\nfrom radrl.support.files import Journal\n"
        f"for k in range(40):\n with Journal({str(path)!r}, shared=True) as j: j.append(sys.argv[1] * 9000)"
    )
    others = [subprocess.Popen([sys.executable, "-c", adding, name]) for name in "ab"]
    assert [other.wait() for other in others] == [0, 0]
    assert sorted(path.read_text().splitlines()) == ["a" * 9000] * 40 + ["b" * 9000] * 40


def test_a_line_of_a_shared_journal_waits_for_a_line_of_another_process(tmp_path):
    path = tmp_path / "a.jsonl"
    with Journal(path, shared=True) as journal, path.open("ab") as other:
        lock(other, "held")
        adding = threading.Thread(target=journal.append, args=("{}",))
        adding.start()
        adding.join(0.1)
        assert path.read_bytes() == b""
        other.close()
        adding.join(10)
    assert path.read_bytes() == b"{}\n"


def test_a_full_disk_and_one_without_locks(tmp_path, monkeypatch, refusal):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("filelock.lock_descriptor", fail)
    with Journal(tmp_path / "a.jsonl") as journal:
        journal.append("1")
        with monkeypatch.context() as patch, open("/dev/full", "ab", buffering=0) as full:
            patch.setattr(journal, "_file", full)
            assert "a.jsonl: no space left on device; free some and run again" in refusal(journal.append, "2")
        journal.append("3")
    assert (tmp_path / "a.jsonl").read_text() == "1\n3\n"


def test_lines_are_numbered_and_what_is_blank_or_a_mark_is_left_out(tmp_path, refusal):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbfone\n \r\n\xe2\x80\xa8three\x85\ntorn")
    assert list(numbered_lines(path)) == [(1, b"one\n"), (3, b"\xe2\x80\xa8three\x85\n"), (4, b"torn")]
    assert list(journal_lines(path)) == [(1, b"one\n"), (3, b"\xe2\x80\xa8three\x85\n")]
    assert list(journal_lines(tmp_path / "none")) == []
    assert (
        refusal(list, numbered_lines(tmp_path / "none")) == f"{tmp_path}/none: cannot read: No such file or directory"
    )


def test_a_lock_is_waited_for_where_nothing_is_said(tmp_path):
    with (tmp_path / "x").open("ab") as first, (tmp_path / "x").open("ab") as second:
        lock(first, "held")
        with pytest.raises(UserError, match="held"):
            lock(second, "held")
        first.close()
        lock(second)
