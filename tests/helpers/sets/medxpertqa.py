"""MedXpertQA: the options once more at the end of the question, two images, the raw form of options and label."""

from sets import jsonl, picture


def write(root):
    listed = "\nAnswer Choices: (A) Sarcoidosis (B) Silicosis (C) Lymphoma (D) Tuberculosis (E) Asbestosis"
    options = {"A": "Sarcoidosis", "B": "Silicosis", "C": "Lymphoma", "D": "Tuberculosis", "E": "Asbestosis"}
    more = {"medical_task": "Diagnosis", "body_system": "Respiratory", "question_type": "Reasoning"}
    film = {"question": "A sandblaster has a cough. What is it?" + listed, "options": options, **more}
    jsonl(root / "MM/dev.jsonl", [{"id": "MM-0", **film, "label": "B", "images": ["MM-0-a.jpeg"]}])
    jsonl(
        root / "MM/test.jsonl",
        [
            {"id": "MM-26", **film, "label": "B", "images": ["MM-26-a.jpeg", "MM-26-b.png"]},
            {"id": "MM-27", **film, "label": "E", "images": ["MM-0-a.jpeg"], "options": {**options, "E": ""}},
        ],
    )
    raw = [{"letter": letter, "content": f"Drug {letter}"} for letter in "ABCDEFGHIJ"]
    text = {"id": "Text-0", "question": "Which drug?", "options": raw, "label": ["J"], **more}
    jsonl(root / "Text/test.jsonl", [text])
    for name in ("MM-0-a.jpeg", "MM-26-a.jpeg", "MM-26-b.png"):
        picture(root / "images" / name)
