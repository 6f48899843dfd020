"""TBX11K: train with a tuberculous and a healthy film, val with one."""

import json

from sets import picture

CATEGORIES = ("ActiveTuberculosis", "ObsoletePulmonaryTuberculosis", "PulmonaryTuberculosis")


def write(root):
    folder = root / "annotations/json"
    folder.mkdir(parents=True)
    for split, names, boxes in (
        ("train", ("tb/tb0005.png", "health/h0001.png"), [[0, 1, [381.8, 126.9, 40.2, 44.6]]]),
        ("val", ("tb/tb0007.png",), [[0, 2, [307.3, 62.1, 135.5, 146.6]], [0, 3, [144.1, 52.9, 126.2, 116.2]]]),
    ):
        content = {
            "categories": [
                {"id": k, "name": name, "supercategory": "Tuberculosis"} for k, name in enumerate(CATEGORIES, 1)
            ],
            "images": [{"id": k, "file_name": name, "width": 512, "height": 512} for k, name in enumerate(names)],
            "annotations": [
                {"id": k, "image_id": image, "category_id": category, "iscrowd": 0, "area": 1, "bbox": box}
                for k, (image, category, box) in enumerate(boxes)
            ],
        }
        (folder / f"TBX11K_{split}.json").write_text(json.dumps(content))
        for name in names:
            picture(root / f"imgs/{name}", 512, 512)
