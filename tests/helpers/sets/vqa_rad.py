"""VQA-RAD: keys as published, CLOSED with a space behind it, a number as answer, no rephrasing, a question in both
splits."""

import json

from sets import picture


def row(number, image, question, answer, phrase="freeform", kind="CLOSED", **changes):
    return {
        "qid": number,
        "phrase_type": phrase,
        "qid_linked_id": "03f451ca-de62-4617-9679-e836026a7642",
        "image_case_url": f"https://medpix.nlm.nih.gov/case?id={image}-case",
        "image_name": f"synpic{image}.jpg",
        "image_organ": "CHEST",
        "evaluation": "evaluated",
        "question": question,
        "question_rephrase": "NULL",
        "question_relation": "NULL",
        "question_frame": "NULL",
        "question_type": "PRES",
        "answer": answer,
        "answer_type": kind,
        **changes,
    }


def write(root):
    rows = [
        row("0", 1, "Is there an effusion?", "Yes"),
        row(1, 1, "Which side is larger, left or right?", "left ", kind="CLOSED "),
        row(2, 1, "How many masses are there?", 2, kind="OPEN", question_type="COUNT"),
        row(3, 2, "Is the heart large?", "no", phrase="test_freeform"),
        row(4, 2, "Is the heart large?", "No", phrase="para"),
        row(5, 2, "What is the modality?", "CXR", phrase="test_para", kind="OPEN"),
    ]
    del rows[1]["question_rephrase"]
    (root / "VQA_RAD Dataset Public.json").write_text(json.dumps(rows, indent=3))
    for image in (1, 2):
        picture(root / f"VQA_RAD Image Folder/synpic{image}.jpg")
