"""MedFrameQA: frames inside, options with and without letters, a question without a frame."""

from sets import parquet, png

IMAGES = [f"image_{k}" for k in range(1, 6)]
MORE = {"system": "Respiratory", "organ": "lung", "keyword": "nodule", "modality": "CT", "video_id": "abc123"}


def write(root, wrong=False):
    bad = {"question_id": "3", "question": "Which?", "correct_answer": "A", **MORE}
    plain = ["A cyst", "A nodule", "An abscess"]
    lettered = [f"{letter}. {text}" for letter, text in zip("ABC", plain, strict=True)]
    parquet(
        root / "data/test-00000-of-00002.parquet",
        [
            {"question_id": "1", "question": "Which grows?", "options": plain, "correct_answer": "B", **MORE,
             "image_1": png(60), "image_2": png(80)},
            {"question_id": "2", "question": "Which?", "options": lettered, "correct_answer": "c", **MORE,
             "image_1": png(90), "image_2": png(100), "image_3": png(110)},
            *([{**bad, "options": plain}] if wrong else []),
        ],
        IMAGES,
    )  # fmt: skip
    last = {"question_id": "4", "question": "Which?", "options": plain, "correct_answer": "A", **MORE, "image_1": png()}
    parquet(root / "data/test-00001-of-00002.parquet", [last], IMAGES)
