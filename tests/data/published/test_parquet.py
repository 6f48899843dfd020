"""Parquet files: rows and the images inside them, whatever the row groups; damaged files are refused in a line."""

from __future__ import annotations

import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import sets
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from radrl.data.published import safe_files
from radrl.data.published.copies import copy
from radrl.data.published.parquet import embedded, is_there, parquet_rows, shards
from radrl.errors import UserError

FILE = "data/test-0.parquet"


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.one_of(st.none(), st.binary(min_size=1, max_size=20)), min_size=1, max_size=60),
    st.integers(1, 25),
    st.randoms(use_true_random=False),
)
def test_images_come_back_in_any_order(tmp_path_factory, contents, group, draw):
    root = tmp_path_factory.mktemp("p")
    table = [{"n": k, "image": content} for k, content in enumerate(contents)]
    sets.parquet(root / FILE, table, ["image"], group)
    read = [row for _, row in parquet_rows(root, FILE, ["n"], images=["image", "other"])]
    assert [row["n"] for row in read] == list(range(len(contents)))
    assert [row["image"] is None for row in read] == [content is None for content in contents]
    named = [(row["image"], content) for row, content in zip(read, contents, strict=True) if content is not None]
    draw.shuffle(named)
    for path, content in named:
        assert embedded(root, path) == (root / FILE, content)


def test_a_column_of_bytes_is_images_too(tmp_path):
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"image": [b"x", None]}), tmp_path / FILE)
    assert [row["image"] for _, row in parquet_rows(tmp_path, FILE, [], images=["image"])] == [f"{FILE}/0/image", None]
    assert embedded(tmp_path, f"{FILE}/0/image")[1] == b"x"


def test_what_is_not_there_is_said(tmp_path, refusal):
    sets.parquet(tmp_path / FILE, [{"n": 1, "image": b"x"}], ["image"])
    assert "wants one column 'm', has n, image" in refusal(list, parquet_rows(tmp_path, FILE, ["m"]))
    assert "row 7 has no image under 'image'" in refusal(embedded, tmp_path, f"{FILE}/7/image")
    assert "column 'n' holds no images" in refusal(embedded, tmp_path, f"{FILE}/0/n")
    assert "stay below this folder" in refusal(embedded, tmp_path, "../a.parquet/0/n")
    assert is_there(tmp_path, f"{FILE}/7/image")
    assert not is_there(tmp_path, "data/other.parquet/7/image")
    assert embedded(tmp_path, "data/film.png") is None
    assert shards(tmp_path, ["no-*.parquet", "data/test-*.parquet"]) == [FILE]


def test_a_damaged_file_is_refused_in_a_line(tmp_path, refusal):
    sets.parquet(tmp_path / FILE, [{"n": k, "image": bytes(200)} for k in range(20)], ["image"])
    whole = (tmp_path / FILE).read_bytes()
    draw, refused = random.Random(0), []
    for _ in range(200):
        content = bytearray(whole[: draw.choice((len(whole), draw.randrange(len(whole))))])
        for _ in range(draw.randrange(1, 5)):
            if content:
                content[draw.randrange(len(content))] = draw.randrange(256)
        (tmp_path / FILE).write_bytes(content)
        try:
            for _, row in parquet_rows(tmp_path, FILE, ["n"], images=["image"]):
                embedded(tmp_path, row["image"]) if row["image"] else None
        except UserError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert all(line.isprintable() and line.startswith(str(tmp_path)) for line in refused)


def test_a_table_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path, refusal, monkeypatch):
    monkeypatch.setattr(safe_files, "UNPACKED_AT_LEAST", 10_000)
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"text": ["x" * 10_000] * 5000}), tmp_path / FILE)
    assert "far more than a data set holds" in refusal(list, parquet_rows(tmp_path, FILE, ["text"]))


def test_a_set_with_images_inside_cannot_do_without_copies(tmp_path, prepared, refusal):
    root = sets.write("medframeqa", tmp_path / "in")
    said = refusal(prepared, "medframeqa", root, tmp_path / "out", ("qa",), images=False)
    assert "inside a Parquet file; prepare it without --no-images" in said


def test_a_copy_that_is_there_is_kept_and_a_broken_image_named(tmp_path, refusal):
    table = [{"n": 1, "image": sets.png(width=400)}, {"n": 2, "image": b"none"}]
    sets.parquet(tmp_path / FILE, table, ["image"])
    assert copy(tmp_path, f"{FILE}/0/image", tmp_path / "out", 451584, 100) == (400, 50)
    made = tmp_path / "out/images" / FILE / "0/image.png"
    assert Image.open(made).size == (100, 13)
    before = made.stat().st_mtime_ns
    copy(tmp_path, f"{FILE}/0/image", tmp_path / "out", 451584, 100)
    assert made.stat().st_mtime_ns == before
    said = refusal(copy, tmp_path, f"{FILE}/1/image", tmp_path / "out", 451584, None)
    assert said.startswith(f"{tmp_path}/{FILE}/1/image: not a readable")


def test_a_warning_names_the_place_in_the_table(tmp_path, caplog):
    black = io.BytesIO()
    Image.new("L", (64, 64)).save(black, "PNG")
    sets.parquet(tmp_path / FILE, [{"n": 1, "image": black.getvalue()}], ["image"])
    copy(tmp_path, f"{FILE}/0/image", tmp_path / "out", 10**6, None)
    (warning,) = caplog.messages
    assert warning.startswith(f"{tmp_path / FILE}/0/image: ")
