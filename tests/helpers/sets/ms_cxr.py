"""MS-CXR 1.1.0: a phrase of two boxes, a film of two phrases, MIMIC's split beside it."""

from sets import csv, picture

HEADER = "category_name,label_text,path,x,y,w,h,image_width,image_height,dicom_id,split"
FILMS = (("10233088", "54276838", "675d792f-a3521e48"), ("11569093", "50720514", "33c9a3f2-98765432"))


def write(root):
    one, two = (f"files/p{p[:2]}/p{p}/s{s}/{film}.jpg" for p, s, film in FILMS)
    csv(
        root / "MS_CXR_Local_Alignment_v1.1.0.csv",
        HEADER,
        f"Pneumonia,bibasilar opacities,{one},4,10,8,20,40,50,675d792f-a3521e48,train",
        f'Edema,"mild edema, perihilar",{two},2,3,30,40,40,50,33c9a3f2-98765432,test',
        f"Pneumonia,bibasilar opacities,{one},24,10,8,20,40,50,675d792f-a3521e48,train",
        f"Cardiomegaly,The heart is enlarged.,{one},10,30,20,20,40,50,675d792f-a3521e48,train",
    )
    csv(
        root / "mimic-cxr-2.0.0-split.csv",
        "dicom_id,study_id,subject_id,split",
        "675d792f-a3521e48,54276838,10233088,validate",
        "33c9a3f2-98765432,50720514,11569093,train",
    )
    for path in (one, two):
        picture(root / path)
