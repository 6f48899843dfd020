"""VQA-Med: three years, # between answers, optional parts in parentheses, further columns with accepted answers."""

from sets import csv, picture

TRAIN19, TEST19 = "ImageClef-2019-VQA-Med-Training", "VQAMed2019Test"
TRAIN20, TEST20 = "VQAMed2020-VQAnswering-TrainingSet", "VQA-TestSet-ReferenceAnswers-VQAMed2020-Task1"
TEST21 = "Task1-VQA-2021-TestSet-w-GroundTruth"


def write(root):
    csv(
        root / TRAIN19 / "All_QA_Pairs_train.txt",
        "synpic1|what modality is shown?|us - ultrasound",
        "synpic1|is this a ct scan?|no",
    )
    csv(
        root / TEST19 / "VQAMed2019_Test_Questions_w_Ref_Answers.txt",
        "synpic2|organ|what organ system is imaged?|face, sinuses, and neck#skull and contents",
        "synpic3|abnormality|what is abnormal?|(angioinvasive aspergillosis with) septic cerebral emboli",
        "synpic3|modality|was the mri taken with contrast?|no",
    )
    csv(root / TRAIN20 / "VQAnswering_2020_Train_QA_pairs.txt", "synpic4|what is abnormal in the x-ray?|nevoid")
    csv(
        root / TEST20 / "VQAMed2020-Task1-VQAnswering-Test-Questions.txt",
        "synpic5|is this image normal?",
        "synpic6|what is abnormal?",
    )
    csv(
        root / TEST20 / "VQAMed2020-Task1-VQAnswering-Test-ReferenceAnswers.txt",
        "synpic5|yes",
        "synpic6|avascular necrosis|extensive degenerative changes",
    )
    csv(root / TEST21 / "Task1-VQA-2021-TestSet-Questions.txt", "synpic7|what is abnormal?", "synpic8|what is it?")
    csv(root / TEST21 / "Task1-VQA-2021-TestSet-ReferenceAnswers.txt", "synpic7|pulmonary embolism")
    for folder, images in {
        f"{TRAIN19}/Train_images": (1,),
        f"{TEST19}/VQAMed2019_Test_Images": (2, 3),
        f"{TRAIN20}/VQAnswering_2020_Train_images": (4,),
        f"{TEST20}/Task1-2020-VQAnswering-Test-Images": (5, 6),
        f"{TEST21}/VQA-500-Images": (7, 8),
    }.items():
        for image in images:
            picture(root / folder / f"synpic{image}.jpg")
