"""Chest ImaGenome: boxes in the 224 frame beside those of the film, one over the edge, one outside, a film without a
graph, a patient of the gold standard."""

import json

from sets import csv, picture

FILMS = {"aaaa-1": ("10000032", "50414267"), "bbbb-2": ("10000764", "57375967"), "cccc-3": ("10000898", "50771383")}


def thing(name, x1, y1, x2, y2):
    """An object of a film of 40 x 50 pixels: 224 / 50 larger in its frame, with 22 pixels of padding on the left."""
    frame = {"x1": x1 * 4.48 + 22, "y1": y1 * 4.48, "x2": x2 * 4.48 + 22, "y2": y2 * 4.48}
    return {
        "object_id": f"aaaa-1_{name}", "bbox_name": name, "synsets": ["C0024109"], "name": name.title(),
        **{key: int(value) for key, value in frame.items()}, "width": 1, "height": 1,
        "original_x1": x1, "original_y1": y1, "original_x2": x2, "original_y2": y2,
        "original_width": x2 - x1, "original_height": y2 - y1,
    }  # fmt: skip


def write(root):
    base = root / "silver_dataset"
    (base / "scene_graph").mkdir(parents=True)
    header = ",subject_id,study_id,dicom_id,path,ViewPosition"
    rows = {film: f"0,{p},{s},{film},files/p10/p{p}/s{s}/{film}.dcm,PA" for film, (p, s) in FILMS.items()}
    csv(base / "splits/train.csv", header, rows["aaaa-1"], rows["bbbb-2"])
    csv(base / "splits/valid.csv", header, rows["cccc-3"])
    csv(base / "splits/test.csv", header)
    csv(base / "splits/images_to_avoid.csv", header[1:], rows["cccc-3"][2:])
    csv(
        root / "mimic-cxr-2.0.0-split.csv",
        "dicom_id,study_id,subject_id,split",
        *(f"{film},{s},{p},validate" for film, (p, s) in FILMS.items()),
    )
    objects = [
        thing("right lung", 2, 4, 18, 40),
        thing("left costophrenic angle", 30, 38, 44, 46),  # 4 pixels over the edge
        thing("right apical zone", -9, 2, -1, 6),
    ]
    graph = {"image_id": "aaaa-1", "viewpoint": "PA", "patient_id": 10000032, "study_id": 50414267, "gender": "F",
             "objects": objects, "attributes": [], "relationships": []}  # fmt: skip
    for film in ("aaaa-1", "cccc-3"):
        (base / f"scene_graph/{film}_SceneGraph.json").write_text(json.dumps(graph))
    for film, (p, s) in FILMS.items():
        picture(root / f"files/p10/p{p}/s{s}/{film}.jpg")
