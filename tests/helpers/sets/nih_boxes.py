"""BBox_List_2017.csv with its header of nine columns over rows of six; a film of two boxes."""

from sets import csv, picture


def write(root):
    csv(
        root / "BBox_List_2017.csv",
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "00013118_008.png,Atelectasis,225.084745762712,547.019216763771,86.7796610169491,79.1864406779661",
        "00014716_007.png,Infiltrate,686.101694915254,131.543498411017,185.491525423729,313.491525423729",
        "00013118_008.png,Cardiomegaly,300,500,400,300",
    )
    picture(root / "images_002/images/00013118_008.png", 1024, 1024)
    picture(root / "images_003/images/00014716_007.png", 1024, 1024)
