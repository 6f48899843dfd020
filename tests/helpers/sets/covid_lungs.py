"""covid_lungs: 43 films, the last of which are held out; a box hangs half a pixel over the edge."""

import json

from sets import picture


def film(number, **changes):
    return {
        "image": f"films/{number:03d}.jpg",
        "size": [400, 500],
        "lung_boxes": [
            {"label": "Left lung", "xyxy": [220, 100, 380, 400]},
            {"label": "Right lung", "xyxy": [20, 100, 180, 500.4]},
        ],
        **changes,
    }


def write(root):
    films = [film(k) for k in range(43)]
    for row in films:
        picture(root / row["image"], 400, 500)
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in films[::-1]))
