"""ChestX-Det: a normal film and one of two findings."""

import json

from sets import picture

SQUARE = [[799, 666], [937, 666], [937, 761], [799, 761]]


def write(root):
    train = [
        {"file_name": "36199.png", "syms": [], "boxes": [], "polygons": []},
        {
            "file_name": "36302.png",
            "syms": ["Effusion", "Pleural Thickening"],
            "boxes": [[799, 666, 937, 761], [100, 90, 200, 140]],
            "polygons": [SQUARE, SQUARE],
        },
    ]
    test = [{"file_name": "36199.png", "syms": ["Mass"], "boxes": [[1, 2, 30, 40]], "polygons": [SQUARE]}]
    for split, films in (("train", train), ("test", test)):
        (root / f"ChestX_Det_{split}.json").write_text(json.dumps(films))
        for film in films:
            picture(root / f"{split}_data/{film['file_name']}", 1024, 1024)
