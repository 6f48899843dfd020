"""ChestX-ray14: the table of 2017 with its empty last column, two of the twelve folders, a patient of two films."""

from sets import csv, picture


def write(root):
    csv(
        root / "Data_Entry_2017.csv",
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],",
        "00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143,",
        "00000001_001.png,Cardiomegaly|Pleural_Thickening,1,1,058Y,M,PA,2894,2729,0.143,0.143,",
        "00000002_000.png,No Finding,0,2,081Y,F,AP,2500,2048,0.171,0.171,",
    )
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (root / "test_list.txt").write_text("00000002_000.png")  # no line end, as published
    picture(root / "images_001/images/00000001_000.png")
    picture(root / "images_001/images/00000001_001.png")
    picture(root / "images_002/images/00000002_000.png")
