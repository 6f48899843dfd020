"""RSNA's challenge as Kaggle gives it: rows of a film apart, empty cells where Target is 0."""

from sets import csv, picture


def write(root):
    csv(
        root / "stage_2_train_labels.csv",
        "patientId,x,y,width,height,Target",
        "0004cfab-14fd,,,,,0",
        "00436515-870c,264.0,152.0,213.0,379.0,1",
        "003d8fa0-6bf1,,,,,0",
        "00436515-870c,562.0,152.0,256.0,453.0,1",
    )
    csv(
        root / "stage_2_detailed_class_info.csv",
        "patientId,class",
        "0004cfab-14fd,No Lung Opacity / Not Normal",
        "00436515-870c,Lung Opacity",
        "00436515-870c,Lung Opacity",
        "003d8fa0-6bf1,Normal",
    )
    for name in ("0004cfab-14fd", "00436515-870c", "003d8fa0-6bf1"):
        picture(root / f"stage_2_train_images/{name}.png", 1024, 1024)
