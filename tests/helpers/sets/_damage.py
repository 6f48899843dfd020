"""Damages a made-up data set in one way, as a broken download, a wrong file or an attacker would."""

from __future__ import annotations

import gzip
import io
import os
import random
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

WORDS = (
    "../../outside/secret.png", "/etc/passwd", "..\\..\\outside", "a" * 5000, "\x00", "nan", "inf", "-1e308", "1e999",
    "", "{{label}}",
    "\u202e", "'" * 50, '"', "NaN", "null", "-0", "٣", "9" * 400, "\ud7ff", ",,,,", "[" * 300, "\r", "💀",
)  # fmt: skip
XML_BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<eCitation><uId id="CXR1"/><AbstractText Label="FINDINGS">&b;</AbstractText></eCitation>"""
XML_READS = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<eCitation><uId id="CXR1"/><AbstractText Label="FINDINGS">&a;</AbstractText>
<parentImage id="../../outside/secret"/></eCitation>"""


def damage(root: Path, outside: Path, draw: random.Random) -> str:
    """Damages one file below ``root``; returns what was done. ``outside`` must never be read."""
    files = sorted(file for file in root.rglob("*") if file.is_file())
    tables = [file for file in files if file.suffix not in (".png", ".jpg")]
    file = draw.choice(tables if draw.random() < 0.85 else files)
    way = draw.choice(WAYS)
    way(file, outside, draw)
    return f"{way.__name__} {file.relative_to(root)}"


def _changed(file: Path, change: Callable[[bytes], bytes]) -> None:
    """Changes what is inside a packed file, and packs it again."""
    content = file.read_bytes()
    if file.suffix == ".gz":
        file.write_bytes(gzip.compress(change(gzip.decompress(content)), 1))
    elif file.suffix == ".tgz":
        made = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(content)) as old, tarfile.open(fileobj=made, mode="w:gz") as new:
            for member in old:
                inside = change(old.extractfile(member).read()) if member.isfile() else b""
                member.size = len(inside)
                new.addfile(member, io.BytesIO(inside))
        file.write_bytes(made.getvalue())
    elif file.suffix == ".zip":
        made = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
            for info in old.infolist():
                new.writestr(info.filename, change(old.read(info)))
        file.write_bytes(made.getvalue())
    else:
        file.write_bytes(change(content))


def cut(file, outside, draw):
    content = file.read_bytes()
    file.write_bytes(content[: draw.randrange(len(content) + 1)])


def cut_inside(file, outside, draw):
    _changed(file, lambda content: content[: draw.randrange(len(content) + 1)])


def flip(file, outside, draw):
    content = bytearray(file.read_bytes())
    for _ in range(draw.choice((1, 3, 30))):
        if content:
            content[draw.randrange(len(content))] = draw.randrange(256)
    file.write_bytes(content)


def flip_inside(file, outside, draw):
    def change(content):
        content = bytearray(content)
        for _ in range(draw.choice((1, 3, 30))):
            if content:
                content[draw.randrange(len(content))] = draw.randrange(256)
        return bytes(content)

    _changed(file, change)


def other_words(file, outside, draw):
    def change(content):
        words = list(re.finditer(rb"[\w./-]+", content))
        for word in sorted(draw.sample(words, min(len(words), draw.choice((1, 4)))), key=lambda w: -w.start()):
            new = draw.choice(WORDS).encode(errors="replace")
            content = content[: word.start()] + new + content[word.end() :]
        return content

    _changed(file, change)


def lines_about(file, outside, draw):
    def change(content):
        lines = content.splitlines(keepends=True)
        how = draw.randrange(4)
        if how == 0:
            draw.shuffle(lines)
        elif how == 1:
            lines = lines * 3
        elif how == 2:
            lines = lines[1:]
        else:
            lines = [line for line in lines if draw.random() < 0.7]
        return b"".join(lines)

    _changed(file, change)


def other_cells(file, outside, draw):
    def change(content):
        lines = content.decode(errors="replace").split("\n")
        column = draw.randrange(12)
        made = []
        for line in lines:
            cells = line.split(",")
            how = draw.choice(("drop", "double", "word", "keep", "keep"))
            if column < len(cells) and how == "drop":
                del cells[column]
            elif column < len(cells) and how == "double":
                cells.insert(column, cells[column])
            elif column < len(cells) and how == "word":
                cells[column] = draw.choice(WORDS)
            made.append(",".join(cells))
        return "\n".join(made).encode(errors="replace")

    _changed(file, change)


def json_about(file, outside, draw):
    old, new = draw.choice(
        ((b"{", b"["), (b'"', b""), (b":", b",\n"), (b"1", b"1e999"), (b"[", b"[[[["), (b"0", b"-0.5"))
    )
    _changed(file, lambda content: content.replace(old, new, draw.choice((1, 1000))))


def nothing(file, outside, draw):
    file.write_bytes(
        draw.choice((b"", b"\n", b"\x00" * 1000, b"[" * 100_000, b"\xff\xfe" + "a,b\n".encode("utf-16-le")))
    )


def garbage(file, outside, draw):
    file.write_bytes(draw.randbytes(draw.choice((10, 10_000))))


def a_folder(file, outside, draw):
    file.unlink()
    file.mkdir()


def gone(file, outside, draw):
    file.unlink()


def a_link(file, outside, draw):
    file.unlink()
    target = draw.choice((outside / "secret.png", outside / "secret.txt", outside, file, Path("/dev/zero")))
    os.symlink(target, file)


def a_folder_link(file, outside, draw):
    folder = file.parent
    if folder.name and folder != outside.parent and len(list(folder.parents)) > len(list(outside.parents)) + 1:
        folder.rename(folder.with_name(folder.name + ".away"))
        os.symlink(outside, folder)
    else:
        file.unlink()


def a_bomb(file, outside, draw):
    how = draw.randrange(4)
    if how == 0:
        file.unlink()
        file.with_name(file.name.removesuffix(".gz") + ".gz").write_bytes(BOMB)
    elif how == 1:
        file.write_bytes(BOMB)
    elif how == 2:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(file.stem, b"0" * 30_000_000)
    else:
        with tarfile.open(file, "w:gz", compresslevel=1) as archive:
            member = tarfile.TarInfo("../../outside/1.xml")
            member.size = 30_000_000
            archive.addfile(member, io.BytesIO(b"\0" * member.size))


def xml_tricks(file, outside, draw):
    with tarfile.open(file, "w:gz") as archive:
        for name, content in (
            ("../../outside/secret.xml", XML_READS),
            ("/etc/passwd.xml", XML_BOMB),
            ("deep.xml", b"<a>" * 100_000),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link.xml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)


BOMB = gzip.compress(b"\0" * 30_000_000, 1) * 20  # 600 MB from 2.6 MB, a member after the other
WAYS = (
    cut, cut_inside, flip, flip_inside, other_words, other_words, lines_about, other_cells, other_cells, json_about,
    nothing, garbage, a_folder, gone, a_link, a_folder_link, a_bomb, xml_tricks,
)  # fmt: skip
