"""OmniMedVQA: two to four options, one record with modality for modality_type, an answer that is no option."""

import json

from sets import picture


def row(number, options, answer, **changes):
    return {
        "dataset": "ACRIMA",
        "question_id": f"ACRIMA_{number:04d}",
        "question_type": "Disease Diagnosis",
        "question": "Is there glaucoma in this image?",
        "gt_answer": answer,
        "image_path": "Images/ACRIMA/Im002_ACRIMA.png",
        **{f"option_{letter}": option for letter, option in zip("ABCD", options, strict=False)},
        "modality_type": "Fundus Photography",
        **changes,
    }


def write(root):
    odd = row(2, ["CT", "MR", "X-ray", "PET"], "X-ray", modality="CT(Computed Tomography)")
    del odd["modality_type"]
    files = {
        "Open-access/ACRIMA": [
            row(0, ["No, It's normal.", "Yes"], "Yes"),
            row(1, ["Yes", "No", "Perhaps"], "Maybe"),
        ],
        "Open-access/Chest CT Scan": [odd],
        "Restricted-access/AIDA": [row(3, ["A", "B", "C"], "B", image_path="AIDA/x.jpg", dataset="AIDA")],
    }
    for name, rows in files.items():
        file = root / f"QA_information/{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(rows, indent=4))
    picture(root / "Images/ACRIMA/Im002_ACRIMA.png")
    picture(root / "AIDA/x.jpg")
