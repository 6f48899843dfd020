"""MMMU's Health & Medicine: images inside, options as Python writes a list, also images; open answers, none."""

from sets import parquet, png

IMAGES = [f"image_{k}" for k in range(1, 8)]
MORE = {"explanation": "", "subfield": "Radiology", "topic_difficulty": "Easy", "img_type": "['Body Scans']"}


def row(name, question, options, answer, shades, kind="multiple-choice"):
    images = {f"image_{k}": png(shade) for k, shade in enumerate(shades, 1)}
    return (
        {"id": name, "question": question, "options": options, "answer": answer, "question_type": kind} | MORE | images
    )


def write(root, wrong=False):
    name = "validation_Clinical_Medicine_"
    parquet(
        root / "Clinical_Medicine/validation-00000-of-00001.parquet",
        [
            row(f"{name}1", "<image 1> What is shown?", "['A mass', \"Crohn's disease\"]", "B", [60]),
            row(f"{name}2", "Which film is normal?", "['<image 1>', '<image 2>', 'None']", "A", [70, 80]),
            row(f"{name}3", "How many lobes has <image 1>?", "[]", "['3', 'three']", [90], "open"),
            row(f"{name}4", "What is <image 3> next to <image 1>?", "['A', 'B']", "A", [100, 110, 120]),
            row(f"{name}5", "Which?", "['Same', 'Same']", "A", [90]),
            *([row(f"{name}6", "Where is <image 2>?", "['A', 'B']", "A", [90])] if wrong else []),
        ],
        IMAGES,
    )
    parquet(
        root / "Pharmacy/dev-00000-of-00001.parquet", [row("dev_Pharmacy_1", "A?", "['x', 'y']", "A", [50])], IMAGES
    )
    hidden = [row("test_Pharmacy_1", "A?", "['x', 'y']", "?", [50])]
    parquet(root / "Pharmacy/test-00000-of-00001.parquet", hidden, IMAGES)
