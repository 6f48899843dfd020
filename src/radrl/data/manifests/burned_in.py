"""Words burned into pictures: a name, a date, the hospital. ``radrl data check --burned-in-text``.

Text is found and read with RapidOCR (PaddleOCR's models as ONNX), whose weights are in its wheel: nothing is
downloaded. What was read is looked at here and forgotten: no log, table or file gets it.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from radrl.errors import UserError

SURE = 0.8  # of what a line says, of 1; ribs and grids that are taken for text are read with less
LEAST = 3  # letters and digits: "L", "R" and "AP" say nothing of a person
# below RapidOCR's own 0.3 and 0.5, with which letters of 12 to 16 pixels on a film are mostly missed
PIXEL, LINE = 0.2, 0.35


def missing() -> str | None:
    """Returns the line that says what to install, None where all is there."""
    if all(importlib.util.find_spec(name) for name in ("rapidocr", "onnxruntime")):
        return None
    return "--burned-in-text needs RapidOCR: pip install 'radrl[burned-in]'"


def holds_words(picture: Image.Image) -> bool:
    """Returns whether a picture, 8-bit RGB, holds a line of at least three letters and digits.

    Raises:
        UserError: RapidOCR is missing, or its weights are.
    """
    found = _engine()(np.asarray(picture.convert("RGB"))[:, :, ::-1])
    lines = zip(found.txts or (), found.scores or (), strict=True)
    return any(score >= SURE and sum(map(str.isalnum, text)) >= LEAST for text, score in lines)


@cache
def _engine() -> Any:
    if problem := missing():
        raise UserError(problem)
    import rapidocr  # pyright: ignore[reportMissingImports]  of the extra burned-in

    folder = Path(str(rapidocr.__file__)).parent / "models"
    weights = {part: sorted(folder.glob(f"*_{part.lower()}_*.onnx")) for part in ("Det", "Rec")}
    for part, files in weights.items():  # where it finds none it would download them
        if not files:
            raise UserError(f"{folder}: no weights of RapidOCR here ({part}); pip install --force-reinstall rapidocr")
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,  # text that is upside down is found all the same
            "Global.text_score": 0.0,
            "Det.thresh": PIXEL,
            "Det.box_thresh": LINE,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,  # there is a process for each core
            **{f"{part}.model_path": str(files[0]) for part, files in weights.items()},
        }
    )
