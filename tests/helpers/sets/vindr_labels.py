"""VinDr-CXR 1.0.0: three rows an image that do not stand together, and the test table with its other last names."""

from radrl.data.published.readers.vindr_labels import LABELS
from sets import csv, picture


def row(*start, **labels):
    return ",".join(
        [*start, *(str(labels.get(name.replace(" ", "_"), 0)) for name in (*LABELS, "Other", "No finding"))]
    )


def write(root):
    names = ",".join(LABELS)
    csv(
        root / "annotations/image_labels_train.csv",
        f"image_id,rad_id,{names},Other diseases,No finding",
        row("aaa", "R1", Cardiomegaly=1, Pneumonia=1),
        row("bbb", "R1", No_finding=1),
        row("aaa", "R2", Cardiomegaly=1),
        row("bbb", "R2", No_finding=1),
        row("aaa", "R3", Edema=1),
        row("bbb", "R3", ILD=1),
        row("ccc", "R1", ILD=1),
        row("ccc", "R2", Edema=1),
        row("ccc", "R3", No_finding=1),
    )
    csv(
        root / "annotations/image_labels_test.csv",
        f"image_id,{names},Other disease,No finding",
        row("ddd", Other=1, COPD=1),
    )
    for path in ("train/aaa.png", "train/bbb.png", "train/ccc.png", "test/ddd.png"):
        picture(root / path)
