"""cheXlocalize: masks as COCO's compressed run lengths, an empty one among them."""

import json

from sets import picture


def runs(counts):
    """COCO's compressed text of run lengths (pycocotools' rleToString)."""
    text = ""
    for number, count in enumerate(counts):
        value = count - (counts[number - 2] if number > 2 else 0)
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
    return text


def rectangle(width, height, x1, y1, x2, y2):
    counts, before = [], x1 * height + y1
    for _ in range(x2 - x1):
        counts += [before, y2 - y1]
        before = height - (y2 - y1)
    return runs([*counts, width * height - sum(counts)])


def write(root):
    films = {
        "patient64541_study1_view1_frontal": {
            "Cardiomegaly": {"size": [50, 40], "counts": rectangle(40, 50, 4, 10, 24, 30)},
            "Pleural Effusion": {"size": [50, 40], "counts": runs([2000])},
        },
        "patient64542_study1_view1_frontal": {"Edema": {"size": [50, 40], "counts": runs([2000])}},
    }
    (root / "CheXlocalize").mkdir(parents=True)
    (root / "CheXlocalize/gt_segmentations_val.json").write_text(json.dumps(films))
    for patient in ("patient64541", "patient64542"):
        picture(root / f"CheXpert/val/{patient}/study1/view1_frontal.jpg")
