"""ReXVQA: an object of questions by id, letters before the options, films of several views."""

import json

from sets import picture

FILM = "pA1/aB2/studies/1.2.3/series/4.5/instances/{}.png"


def item(question, right, *films, **more):
    options = ["A. Normal", "B. Pleural effusion", "C. Pneumothorax", "D. Nodule"]
    study = {"PatientID": "pA1", "study_id": "pA1_aB2_s123", "StudyInstanceUid": "1.2.3", "Findings": "Clear."}
    paths = {"ImagePath": [f"../deid_png/{FILM.format(film)}" for film in films]}
    kind = {"task_name": "Presence Assessment", "category": "Pleura", "subcategory": "", "class": "x"}
    said = {"question": question, "options": options, "correct_answer": right, "correct_answer_explanation": "As seen."}
    return study | paths | kind | said | more


def write(root):
    (root / "metadata").mkdir(parents=True, exist_ok=True)
    train = {"q1": item("What is seen?", "B", 1, 2), "q2": item("What else?", "A", 1)}
    test = {"q3": item("What is seen?", "D", 1, PatientID="pC3"), "q4": item("What?", "B", 1, options=["A. x", "B. x"])}
    (root / "metadata/train_vqa_data.json").write_text(json.dumps(train, indent=2))
    (root / "metadata/test_vqa_data.json").write_text(json.dumps(test))
    for film in (1, 2):
        picture(root / "deid_png" / FILM.format(film))
