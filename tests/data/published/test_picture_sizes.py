"""Boxes and the films they lie on: resized films are scaled where the shape says so, refused where it does not."""

import json

import pytest
import sets
from PIL import Image

from radrl.data.published.asking import Asking
from radrl.data.published.prepare import Settings, prepare


@pytest.fixture
def boxes(tmp_path, refusal):
    """``boxes(name, root, kind, ...)`` prepares a set; returns its boxes by id, and the Summary."""

    def call(name, root, kind, **settings):
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        summary = prepare(name, root, out, Settings(Asking((kind,)), **settings), workers=1)
        lines = [json.loads(line) for split in summary.examples for line in (out / f"{split}.jsonl").open()]
        return {e["id"]: [tuple(box["xyxy"]) for box in e.get("boxes", ())] for e in lines}, summary

    return call


def resize(root, pattern, size):
    for file in root.glob(pattern):
        with Image.open(file) as film:
            small = film.resize(size)
        small.save(file)


def test_imagenome_boxes_of_resized_films(tmp_path, boxes, refusal):
    """The film is 40 x 50, the lung box [2, 4, 18, 40]; the numbers here are worked out by hand."""
    root = sets.write("chest_imagenome", tmp_path / "in")
    whole, summary = boxes("chest_imagenome", root, "detect", options={"regions": "all"})
    wanted = [(0.05, 0.08, 0.45, 0.8), (0.75, 0.76, 1.0, 0.92)]
    assert [[round(v, 6) for v in box] for box in next(iter(whole.values()))] == [list(box) for box in wanted]
    assert summary.cut == 1  # the costophrenic angle reaches to 44
    resize(root, "files/**/*.jpg", (20, 25))
    message = refusal(boxes, "chest_imagenome", root, "detect")
    assert "20 x 25, its boxes are of about" in message
    assert "mimic-cxr-2.0.0-metadata.csv" in message
    rows = [f"{film},50,40" for film in ("aaaa-1", "bbbb-2", "cccc-3")]
    sets.csv(root / "mimic-cxr-2.0.0-metadata.csv", "dicom_id,Rows,Columns", *rows)
    assert boxes("chest_imagenome", root, "detect", options={"regions": "all"})[0] == whole
    resize(root, "files/**/*.jpg", (25, 25))  # squeezed: no box can be right
    assert "not of the shape" in refusal(boxes, "chest_imagenome", root, "detect")


def test_boxes_whose_size_nobody_states(tmp_path, boxes, refusal):
    root = sets.write("vindr_cxr", tmp_path / "in")
    message = refusal(boxes, "vindr_cxr", root, "detect")
    assert "may be a smaller copy" in message
    assert "--annotated-size" in message
    as_large, _ = boxes("vindr_cxr", root, "detect", annotated_size="film")
    sets.csv(tmp_path / "train_meta.csv", "image_id,dim0,dim1", "aaa,50,40", "bbb,50,40", "ccc,50,40")
    resize(root, "t*/*.png", (20, 25))
    assert boxes("vindr_cxr", root, "detect", annotated_size=str(tmp_path / "train_meta.csv"))[0] == as_large
    # as if they were of the published size: some boxes lie outside, and the others would be kept, all of them wrong
    message = refusal(boxes, "vindr_cxr", root, "detect", annotated_size="film", skip_bad=True)
    assert "not of the published size" in message


def test_a_film_of_another_shape_is_refused_and_a_smaller_one_scaled(tmp_path, boxes, refusal):
    root = sets.write("rsna", tmp_path / "in")
    films = [*root.glob("stage_2_train_images/*")]
    whole, _ = boxes("rsna", root, "detect")
    for size, said in (((512, 512), None), ((512, 640), "512 x 640, its boxes are of 1024 x 1024")):
        for film in films:
            Image.new("L", size, 90).save(film, "PNG")
        if said:
            assert said in refusal(boxes, "rsna", root, "detect")
        else:
            assert boxes("rsna", root, "detect")[0] == whole


def test_swapped_sides_and_turned_films_are_refused(tmp_path, boxes, refusal):
    root = sets.write("ms_cxr", tmp_path / "in")
    films = [*root.glob("files/**/*.jpg")]
    with Image.open(films[0]) as film:
        width, height = film.size
    resize(root, "files/**/*.jpg", (height, width))
    assert "swapped" in refusal(boxes, "ms_cxr", root, "phrase")
    resize(root, "files/**/*.jpg", (width, height))
    boxes("ms_cxr", root, "phrase")
    exif = Image.Exif()
    exif[0x0112] = 3
    for file in films:
        Image.new("L", (width, height), 90).save(file, exif=exif)
    assert "EXIF orientation" in refusal(boxes, "ms_cxr", root, "phrase")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), ("image_id,width\na,3\n", "needs a column"), ("id,width,height\na,3,no\n", "is no size")],
)
def test_a_table_of_sizes_is_checked_before_anything_is_read(tmp_path, boxes, refusal, content, said):
    root = sets.write("vindr_cxr", tmp_path / "in")
    if content is not None:
        (tmp_path / "sizes.csv").write_text(content)
    assert said in refusal(boxes, "vindr_cxr", root, "detect", annotated_size=str(tmp_path / "sizes.csv"))
