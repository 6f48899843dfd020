"""MedQA: four options as lines, five options as lines, and the Hub's Parquet with options as a struct."""

from sets import jsonl, parquet


def write(root, wrong=False):
    four = {"A": "Ampicillin", "B": "Ceftriaxone", "C": "Doxycycline", "D": "Nitrofurantoin"}
    asked = {
        "question": "A pregnant woman has dysuria. Which drug?",
        "answer": "Nitrofurantoin",
        "meta_info": "step2&3",
    }
    lines = [
        {**asked, "options": four, "answer_idx": "D", "metamap_phrases": ["dysuria"]},
        {**asked, "options": four, "answer_idx": "C", "metamap_phrases": []},
    ]
    jsonl(root / "phrases_no_exclude_train.jsonl", lines if wrong else lines[:1])
    jsonl(root / "US/train.jsonl", [{**asked, "options": {**four, "E": "None"}, "answer_idx": "D"}])
    parquet(root / "data/test-00000-of-00001.parquet", [{**asked, "options": four, "answer_idx": "D"}])
