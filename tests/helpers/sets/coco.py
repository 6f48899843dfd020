"""COCO's JSON: an image without boxes, a crowd beside a box, two splits."""

import json

from sets import picture


def content(*annotations, names=("a.png", "b.png")):
    return {
        "categories": [{"id": 7, "name": "Rib_Fracture", "supercategory": "x"}],
        "images": [{"id": k, "file_name": name, "width": 40, "height": 50} for k, name in enumerate(names)],
        "annotations": [{"id": k, "category_id": 7, **a} for k, a in enumerate(annotations)],
    }


def write(root):
    root.mkdir(parents=True, exist_ok=True)
    (root / "annotations").mkdir()
    train = content(
        {"image_id": 0, "bbox": [4, 5, 20, 10], "iscrowd": 0, "area": 200},
        {"image_id": 0, "bbox": [0, 0, 40, 50], "iscrowd": 1, "area": 2000},
    )
    (root / "annotations/instances_train.json").write_text(json.dumps(train))
    test = content({"image_id": 0, "bbox": [1.5, 2.5, 8, 9]}, names=("c.png",))
    (root / "annotations/instances_test.json").write_text(json.dumps(test))
    for name in ("a", "b", "c"):
        picture(root / f"images/{name}.png")
