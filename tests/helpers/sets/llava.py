"""RadVLM's instruction data: paths of another machine, boxes in sentences, one decimal, conversations, no finding."""

import json

from sets import picture

MIMIC = "/capstone/datasets/MIMIC-CXR-JPG/files/p10/p10000032/s50414267/02aa804e.jpg"
VINDR = "/capstone/datasets/VinDr-CXR/train_jpg/0005e8e3.jpg"
CHEXPERT = "/capstone/datasets/CheXpert/train/patient00001/study1/view1_frontal.jpg"


def talk(name, image, *texts, **more):
    turns = [{"from": "gpt" if i % 2 else "human", "value": text} for i, text in enumerate(texts)]
    turns[0]["value"] = "<image>\n" + turns[0]["value"]
    return {"image": image, "conversations": turns, "id": name, **more}


def items():
    return [
        talk(
            "vindr-cxr-train1_0", VINDR, "Are abnormalities present on this Chest X-ray? Where exactly?",
            "Upon examination, I detect a pleural effusion located at the coordinates [0.1, 0.2, 0.35, 0.4] and "
            "[0.6, 0.2, 0.9, 0.41]; an aortic enlargement located at the coordinates [0.45, 0.3, 0.6, 0.5].",
            labels=["Pleural effusion", "Pleural effusion", "Aortic enlargement"],
        ),
        talk(
            "vindr-cxr-train1_1", VINDR, "Identify any lesions.", "I can't find any lesion on the image.",
            labels=["No finding"],
        ),
        talk(
            "chestima-train_2", MIMIC, "Where is the right lung?",
            "You'll find the right lung at [0.11, 0.2, 0.4, 1.0] in the X-ray.",
        ),
        talk("mimic-train_3", MIMIC, "Write a radiology report for this Chest X-ray.", "The lungs are clear."),
        talk(
            "chexpert-train_4", CHEXPERT, "Identify abnormalities on this image",
            "The following abnormalities are present: edema and fracture.",
            labels=["Edema", "Fracture"], pathologies=["Atelectasis", "Edema", "Fracture"],
        ),
        talk(
            "conv-grounded-train1_5", MIMIC, "What do you see?", "A small opacity.", "Where is it?",
            "The opacity is located at the coordinates [0.5, 0.5, 0.6, 0.75].", "Is it large?", "No.",
        ),
    ]  # fmt: skip


def write(root):
    (root / "all_train.json").write_text(json.dumps(items(), indent=4))
    for image in (MIMIC, VINDR, CHEXPERT):
        picture(root / image.removeprefix("/capstone/datasets/"))
