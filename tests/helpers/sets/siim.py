"""SIIM-ACR: a space in the header, -1 with and without one, a film of two masks, a mask with a crumb."""

from sets import csv, picture

SIDE = 1024


def runs(*rectangles):
    """Run lengths of rectangles (x1, y1, x2, y2) side by side, down the columns, starts relative to the run before."""
    pixels = sorted((x, y1, y2 - y1) for x1, y1, x2, y2 in rectangles for x in range(x1, x2))
    words, at = [], 0
    for x, y, length in pixels:
        start = x * SIDE + y
        words += [start - at, length]
        at = start + length
    return " ".join(map(str, words))


def write(root):
    csv(
        root / "train-rle.csv",
        "ImageId, EncodedPixels",
        "1.2.276.0.1,-1",
        "1.2.276.0.2," + runs((100, 200, 140, 260), (800, 5, 801, 8)),
        "1.2.276.0.3, -1",
        "1.2.276.0.2," + runs((600, 300, 680, 420)),
    )
    for number in (1, 2, 3):
        picture(root / f"dicom-images-train/1.3.{number}/1.4.{number}/1.2.276.0.{number}.png", SIDE, SIDE)
