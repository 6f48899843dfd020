"""Readers of boxes: the official layouts with their oddities, and the published files counted."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import sets
from PIL import Image

from radrl.boxes.geometry import array, iou
from radrl.data.published.readers import reader
from radrl.data.published.record import Record, chosen_options
from radrl.manifest.example_set import read_manifests

SETS = (
    "chest_imagenome", "chestx_det", "chexlocalize", "coco", "ms_cxr", "nih_boxes", "padchest_gr", "rsna", "siim",
    "tbx11k", "vindr_cxr",
)  # fmt: skip


def read(name, root, **options):
    """Returns the Records and the Skipped of a data set."""
    found = list(reader(name).read(root, chosen_options(reader(name), options)))
    return [r for r in found if isinstance(r, Record)], [s for s in found if not isinstance(s, Record)]


def made(name, tmp_path, **options):
    return read(name, sets.write(name, tmp_path / name), **options)


@pytest.mark.parametrize("name", SETS)
def test_a_made_up_copy_prepares_whole(tmp_path, prepared, name):
    root = sets.write(name, tmp_path / "in")
    for kind in reader(name).kinds:
        size = "film" if name == "vindr_cxr" else ""  # its tables do not say what its boxes are measured in
        summary = prepared(name, root, tmp_path / kind, (kind,), annotated_size=size)
        assert sum(summary.examples.values()) > 0
        assert not summary.bad
        for split in summary.examples:
            for example in (examples := read_manifests([tmp_path / kind / f"{split}.jsonl"])):
                assert example.task != "grounding" or example.boxes or example.reference == ""
            assert examples.pictures(0)


def test_nih_and_rsna_boxes(tmp_path):
    (first, second), _ = made("nih_boxes", tmp_path)
    assert (first.id, first.patient, first.images) == (
        "00013118_008.png",
        "13118",
        ("images_002/images/00013118_008.png",),
    )
    assert first.regions[1] == ("cardiomegaly", (300, 500, 700, 800))
    assert [region.label for region in second.regions] == ["infiltration"]
    (none, two, _), _ = made("rsna", tmp_path)
    assert none.regions == ()
    assert none.meta["class"] == "No Lung Opacity / Not Normal"
    assert [region.xyxy for region in two.regions] == [(264, 152, 477, 531), (562, 152, 818, 605)]


def test_masks_of_siim_are_boxes_of_what_hangs_together(tmp_path):
    (none, some, spaced), _ = made("siim", tmp_path)
    assert none.regions == spaced.regions == ()
    assert [region.xyxy for region in some.regions] == [(100, 200, 140, 260), (600, 300, 680, 420)]  # not the crumb
    assert some.images == ("dicom-images-train/1.3.2/1.4.2/1.2.276.0.2.png",)


def test_masks_of_chexlocalize(tmp_path):
    (first, second), _ = made("chexlocalize", tmp_path)
    assert first.regions == (("cardiomegaly", (4, 10, 24, 30)),)
    assert first.labels == {"cardiomegaly": "present", "pleural effusion": "absent"}
    assert (first.patient, first.split, second.regions) == ("patient64541", "dev", ())


def test_coco_chestx_det_and_tbx11k(tmp_path):
    records, _ = made("coco", tmp_path)
    assert [(r.id, r.split, len(r.regions)) for r in records] == [
        ("instances_test/c.png", "test", 1),
        ("instances_train/a.png", "train", 1),
        ("instances_train/b.png", "train", 0),
    ]
    assert records[1].regions == (("rib fracture", (4, 5, 24, 15)),)
    records, _ = made("chestx_det", tmp_path)
    assert len({r.id for r in records}) == 3  # a file name stands in both splits
    assert records[1].regions[1].label == "pleural thickening"
    records, _ = made("tbx11k", tmp_path)
    assert [(r.split, r.meta["group"], [b.label for b in r.regions]) for r in records] == [
        ("train", "tb", ["active tuberculosis"]), ("train", "health", []),
        ("dev", "tb", ["obsolete tuberculosis", "tuberculosis"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "boxes"),
    [
        ("wbf", [("cardiomegaly", (11, 21, 31, 41)), ("ILD", (1, 2, 9, 12))]),
        ("majority", [("cardiomegaly", (11, 21, 31, 41))]),  # two of three; ILD one of three
        ("union", [("cardiomegaly", (10, 20, 32, 42)), ("ILD", (1, 2, 9, 12))]),
        ("R9", [("cardiomegaly", (10, 20, 30, 40))]),
        ("R11", []),
    ],
)
def test_readers_of_vindr_are_fused_by_the_rule(tmp_path, rule, boxes):
    records, skipped = made("vindr_cxr", tmp_path, rule=rule)
    assert list(records[0].regions) == boxes
    assert len(records[-1].regions) == 2  # consent: never fused again
    assert [s.id for s in skipped] == (["bbb"] if rule == "R11" else [])


def test_ms_cxr_gathers_the_boxes_of_a_phrase_and_keeps_to_mimics_split(tmp_path):
    (first, second), _ = made("ms_cxr", tmp_path)
    assert first.phrases[0] == ("bibasilar opacities", ((4, 10, 12, 30), (24, 10, 32, 30)))
    assert len(first.phrases) == 2
    assert (first.patient, first.study, first.frame) == ("10233088", "54276838", (40, 50))
    assert (first.split, second.split) == ("dev", "train")
    assert [r.split for r in read("ms_cxr", tmp_path / "ms_cxr", split="own")[0]] == ["train", "test"]


def test_a_missing_mimic_split_is_no_silent_leak(tmp_path, refusal):
    for name in ("ms_cxr", "chest_imagenome"):
        root = sets.write(name, tmp_path / name)
        (root / "mimic-cxr-2.0.0-split.csv").unlink()
        assert "--option split=own" in refusal(read, name, root)
        assert read(name, root, split="own")[0]


def test_padchest_gr_languages_readers_and_progression(tmp_path):
    (first, second), _ = made("padchest_gr", tmp_path)
    assert [len(phrase.boxes) for phrase in first.phrases] == [2, 1]
    assert first.report["findings"] == "Bilateral pleural effusion. The nodule is stable. No pneumothorax."
    assert first.meta["progression"] == ["", "stable"]
    assert (first.patient, first.split, second.split, second.phrases) == ("77", "train", "dev", ())
    options = {"language": "es", "boxes": "both", "progression": "drop"}
    records, skipped = read("padchest_gr", tmp_path / "padchest_gr", **options)
    assert [(phrase.text, len(phrase.boxes)) for phrase in records[0].phrases] == [("Derrame pleural bilateral.", 3)]
    assert [(s.id, s.bad) for s in skipped] == [("2168/1", False)]


def test_imagenome_boxes_are_those_of_the_film_not_of_the_224_frame(tmp_path):
    records, skipped = made("chest_imagenome", tmp_path, regions="all")
    assert records[0].regions == (("right lung", (2, 4, 18, 40)), ("left costophrenic angle", (30, 38, 40, 46)))
    assert records[0].frame == (40, 50)
    assert (records[0].split, records[0].meta["view"]) == ("dev", "PA")
    assert {s.why for s in skipped} == {
        "a region outside the film",
        "no scene graph",
        "of a patient of the gold standard",
    }
    assert not any(s.bad for s in skipped)
    one = read("chest_imagenome", tmp_path / "chest_imagenome")[0][0]
    assert len(one.regions) == 1
    assert one.regions[0] in records[0].regions


def test_an_image_of_nothing_but_crowds_is_not_one_with_nothing_to_find(tmp_path):
    root = sets.write("coco", tmp_path)
    file = root / "annotations/instances_train.json"
    file.write_text(file.read_text().replace('"iscrowd": 0', '"iscrowd": 1'))
    records, skipped = read("coco", root)
    assert "a.png" not in {record.id for record in records}
    assert [(s.id, s.why, s.bad) for s in skipped] == [("a.png", "only crowds are boxed", False)]


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "why"),
    [
        ("nih_boxes", "BBox_List_2017.csv", "300,500", "300,wide", "not a box"),
        ("rsna", "stage_2_train_labels.csv", ",453.0,1", ",453.0,0", "not a box"),
        ("siim", "train-rle.csv", "1.2.276.0.2,", "1.2.276.0.2,7 ", "not a mask"),
        ("chestx_det", "ChestX_Det_train.json", '["Effusion", ', "[", "not a film"),
        ("chexlocalize", "CheXlocalize/gt_segmentations_val.json", "[50, 40]", "[50, 41]", "not a film"),
        ("coco", "annotations/instances_train.json", '"image_id": 0', '"image_id": 5', "no image"),
        ("vindr_cxr", "annotations/annotations_train.csv", "10.0,20.0,30.0", "31.0,20.0,30.0", "not a box"),
        ("ms_cxr", "MS_CXR_Local_Alignment_v1.1.0.csv", "files/p10", "../p10", "not a box"),
        ("padchest_gr", "grounded_reports_20240819.json", "0.6, 0.3, 0.9]", "0.6, 0.3]", "not a study"),
        (
            "chest_imagenome",
            "silver_dataset/scene_graph/aaaa-1_SceneGraph.json",
            '"objects"',
            '"things"',
            "not a scene",
        ),
    ],
)
def test_what_is_wrong_is_listed_and_the_rest_read(tmp_path, name, file, old, new, why):
    root = sets.write(name, tmp_path)
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new, 1))
    _, skipped = read(name, root)
    bad = [s for s in skipped if s.bad]
    assert bad
    assert all(why in s.why for s in bad)
    assert all(s.where for s in bad)


COUNTS = {  # films and boxes of the published files
    "nih_boxes": ("BBox_List_2017.csv.gz", 880, 984),
    "rsna": ("kaggle_stage_2_train_labels.csv.zip", 26_684, 9_555),
    "siim": ("siim-pneumothorax-train-rle.csv.gz", 12_047, 3_524),
    "chestx_det": ("chestx_det", 3_578, 9_639),
    "chexlocalize": ("chexlocalize", 2, 5),
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_published_files(shared_data, tmp_path, name):
    file, films, boxes = COUNTS[name]
    source = shared_data / "cxr_annotations" / file
    if not source.exists():
        pytest.skip(f"no {source}")
    root = source if source.is_dir() else tmp_path
    if root is tmp_path:
        shutil.copy(source, tmp_path)
    records, skipped = read(name, root)
    assert not skipped
    assert (len(records), sum(len(r.regions) for r in records)) == (films, boxes)


@pytest.mark.slow
def test_the_published_rows_of_vindr(shared_data, tmp_path):
    source = shared_data / "cxr_annotations/vinbigdata-train.csv.gz"
    if not source.exists():
        pytest.skip(f"no {source}")
    shutil.copy(source, tmp_path)
    from radrl.data.published.readers.vindr_cxr import ENDS, TABLES
    from radrl.data.published.tables import table

    assert sum(1 for _ in table(tmp_path, TABLES[0][0], ["image_id", "class_name", *ENDS])) == 67_914
    records, skipped = read("vindr_cxr", tmp_path)
    assert not skipped
    assert len(records) == 15_000
    assert sum(len({region.label for region in r.regions}) for r in records) == 15_365


def test_boxes_lie_right_after_resizing(shared_data, tmp_path, prepared):
    """On real films the share of a box is that of direct scaling, IoU 1, and its copy shows the same picture."""
    root = tmp_path / "nih"
    (root / "images").mkdir(parents=True)
    source = shared_data / "nih_cxr14"
    if not source.is_dir():
        pytest.skip(f"no films at {source}")
    rows = [json.loads(line) for line in (source / "metadata.jsonl").open()]
    rows = [row for row in rows if row["image"].startswith("boxed_1024") or (row["boxes_px"])]
    lines, direct = [], {}
    for row in rows:
        boxed = source / "boxed_1024" / (row["nih_file"].removesuffix(".png") + ".jpg")
        if not boxed.is_file():
            continue
        Image.open(boxed).save(root / "images" / row["nih_file"], compress_level=1)
        for box in row["boxes_px"]:
            x1, y1, x2, y2 = box["xyxy"]
            lines.append(f"{row['nih_file']},Mass,{x1},{y1},{x2 - x1},{y2 - y1}")
            direct.setdefault(row["nih_file"], []).append([x1 / 1024, y1 / 1024, x2 / 1024, y2 / 1024])
    sets.csv(root / "BBox_List_2017.csv", "Image Index,Finding Label,Bbox [x,y,w,h],,,", *lines)
    prepared("nih_boxes", root, tmp_path / "out", ("locate",), max_pixels=120_000, shares={"train": 1.0})
    examples = read_manifests([tmp_path / "out/train.jsonl"])
    assert len(examples) >= 30
    for number, example in enumerate(examples):
        name = example.id.split("/")[1]
        wanted = np.array(direct[name])
        found = array(example.boxes)
        assert iou(found, wanted).max(axis=1) == pytest.approx(1)
        small = examples.pictures(number)[0]
        assert small.size == (346, 346)
        # the same place of the film, cut out of the copy and of the original, looks the same
        x1, y1, x2, y2 = found[0]
        whole = Image.open(root / "images" / name).convert("L")
        parts = []
        for picture in (whole, small.convert("L")):
            w, h = picture.size
            cut = picture.crop((round(x1 * w), round(y1 * h), round(x2 * w), round(y2 * h)))
            parts.append(np.asarray(cut.resize((16, 16), Image.Resampling.BOX)).astype(float))
        assert np.abs(parts[0] - parts[1]).mean() < 6
