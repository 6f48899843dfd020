"""PadChest-GR: a sentence of two boxes and a second reader, one that compares, one of what is absent without keys."""

import json

import numpy as np
from PIL import Image

from sets import csv


def write(root):
    studies = [
        {
            "StudyID": "2168", "ImageID": "2168_a.png", "PreviousStudyID": None, "PreviousImageID": None,
            "findings": [
                {
                    "sentence_en": "Bilateral pleural effusion.", "sentence_es": "Derrame pleural bilateral.",
                    "abnormal": True, "boxes": [[0.1, 0.6, 0.3, 0.9], [0.7, 0.6, 0.9, 0.9]],
                    "extra_boxes": [[0.12, 0.6, 0.3, 0.9]], "labels": ["pleural effusion"], "locations": ["pleural"],
                    "progression": None,
                },
                {
                    "sentence_en": "The nodule is stable.", "sentence_es": "El nódulo está estable.", "abnormal": True,
                    "boxes": [[0.2, 0.2, 0.25, 0.25]], "extra_boxes": [], "labels": ["nodule"], "locations": [],
                    "progression": "stable",
                },
                {"sentence_en": "No pneumothorax.", "sentence_es": "No neumotórax.", "abnormal": False},
            ],
        },
        {
            "StudyID": "2169", "ImageID": "2169_a.png", "PreviousStudyID": None, "PreviousImageID": None,
            "findings": [{"sentence_en": "Normal chest.", "sentence_es": "Tórax normal.", "abnormal": False}],
        },
    ]  # fmt: skip
    root.mkdir(parents=True, exist_ok=True)
    (root / "grounded_reports_20240819.json").write_text(json.dumps(studies, ensure_ascii=False), encoding="utf-8")
    csv(
        root / "master_table.csv",
        "StudyID,ImageID,PatientID,PatientSex_DICOM,label,label_group,locations,split",
        "2168,2168_a.png,77,F,pleural effusion,Pleural effusion,['pleural'],train",
        "2168,2168_a.png,77,F,nodule,Nodule,[],train",
        "2169,2169_a.png,78,M,Normal,Normal,[],validation",
    )
    folder = root / "Padchest_GR_files/PadChest_GR"
    folder.mkdir(parents=True)
    for name in ("2168_a.png", "2169_a.png"):
        pixels = np.add.outer(np.arange(50), np.arange(40)).astype(np.uint16) * 400
        Image.fromarray(pixels).save(folder / name)
