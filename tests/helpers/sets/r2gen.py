"""R2Gen's annotation.json of IU X-ray: three splits, two images a report."""

import json

from sets import picture


def row(name, split, report="The lungs are clear ."):
    return {"id": name, "report": report, "image_path": [f"{name}/0.png", f"{name}/1.png"], "split": split}


def write(root):
    rows = {"train": [row("CXR2384_IM-0942", "train"), row("CXR2926_IM-1328", "train", " ")],
            "val": [row("CXR1001_IM-0004", "val")], "test": [row("CXR3030_IM-1405", "test")]}  # fmt: skip
    (root / "annotation.json").write_text(json.dumps(rows))
    for name in (one["id"] for split in rows.values() for one in split):
        picture(root / f"images/{name}/0.png")
        picture(root / f"images/{name}/1.png")
