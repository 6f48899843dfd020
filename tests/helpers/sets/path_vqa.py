"""PathVQA: pickled lists of dicts, a question twice."""

import pickle

from sets import picture


def write(root):
    files = {
        "train": [
            {"image": "train_0422", "question": "Where are the cells?", "answer": "in the canals"},
            {"image": "train_0422", "question": "Where are the cells?", "answer": "in the canals"},
            {"image": "train_0422", "question": "are they clear?", "answer": "yes"},
        ],
        "val": [{"image": "val_0261", "question": "what have lost their nuclei?", "answer": "neutrophils"}],
        "test": [{"image": "test_0001", "question": "is it normal?", "answer": "no"}],
    }
    for protocol, (part, rows) in enumerate(files.items(), 2):
        file = root / f"qas/{part}/{part}_qa.pkl"
        file.parent.mkdir(parents=True)
        file.write_bytes(pickle.dumps(rows, protocol=protocol))
        for row in rows:
            picture(root / f"images/{part}/{row['image']}.jpg")
