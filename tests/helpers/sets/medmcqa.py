"""MedMCQA: the authors' JSON (cop 1-4), the Hub's Parquet (cop 0-3), a test part without answers."""

from sets import jsonl, parquet


def row(name, cop, **more):
    asked = {"id": name, "question": f"Question {name}?", "opa": "One", "opb": "Two", "opc": "Three", "opd": "Four"}
    return (
        asked | {"cop": cop, "choice_type": "single", "exp": None, "subject_name": "Anatomy", "topic_name": None} | more
    )


def write(root):
    jsonl(root / "train.json", [row("t1", 4), row("t2", 1), row("t3", 2, opb="")])
    parquet(root / "data/validation-00000-of-00001.parquet", [row("v1", 0), row("v2", 3), row("v3", 2)])
    unanswered = row("e1", 1)
    del unanswered["cop"]
    jsonl(root / "test.json", [unanswered])
