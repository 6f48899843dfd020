"""VinDr-CXR 1.0.0: readers' rows apart, "No finding" without a box, a test table without rad_id."""

from sets import csv, picture


def write(root):
    csv(
        root / "annotations/annotations_train.csv",
        "image_id,rad_id,class_name,x_min,y_min,x_max,y_max",
        "aaa,R9,Cardiomegaly,10.0,20.0,30.0,40.0",
        "bbb,R8,No finding,,,,",
        "aaa,R10,Cardiomegaly,12.0,22.0,32.0,42.0",
        "aaa,R10,ILD,1.0,2.0,9.0,12.0",
        "bbb,R9,No finding,,,,",
        "aaa,R11,No finding,,,,",
        "bbb,R10,No finding,,,,",
    )
    csv(
        root / "annotations/annotations_test.csv",
        "image_id,class_name,x_min,y_min,x_max,y_max",
        "ccc,Pleural effusion,5,6,15,16",
        "ccc,Pleural effusion,6,6,15,16",
    )
    for path in ("train/aaa.png", "train/bbb.png", "test/ccc.png"):
        picture(root / path)
