"""SLAKE: English and Chinese, keys in the two published orders, one question without an answer."""

import json

from sets import picture


def row(number, question, answer, language="en", kind="OPEN", content="Organ"):
    return {
        "img_id": 1,
        "img_name": f"xmlab{number % 2}/source.jpg",
        "question": question,
        "answer": answer,
        "q_lang": language,
        "location": "Lung",
        "modality": "X-Ray",
        "answer_type": kind,
        "base_type": "vqa",
        "content_type": content,
        "triple": ["vhead", "_", "_"],
        "qid": number,
    }


def write(root):
    files = {
        "train": [
            row(0, "Does the picture contain liver?", ""),
            row(1, "Does the picture contain lung?", "Yes", kind="CLOSED"),
            row(2, "Which is bigger, lung or liver?", "Lung", kind="CLOSED"),
        ],
        "validate": [row(3, "图像中包含肺吗?", "包含", "zh", "CLOSED")],
        "test": [dict(reversed(row(4, "这张图片的成像方式是什么?", "X光", "zh", content="Modality").items()))],
    }
    for name, rows in files.items():
        (root / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    for image in (0, 1):
        picture(root / f"imgs/xmlab{image}/source.jpg")
