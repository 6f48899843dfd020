"""Makes golden_grounding.json: what RadVLM-GRPO's own code gives for answers in the forms that models write.

    python tests/scoring/make_golden_grounding.py PATH/TO/RadVLM-GRPO

The folder is a checkout of github.com/uzh-dqbm-cmi/RadVLM-GRPO (e297550 was used; needs numpy, scipy, scikit-learn).
Its ``compute_metrics_tasks.evaluate_boxes`` gives the mAP at 0.5. Its soft-F1 is not published as code; here it is the
paper's formula over the boxes and IoUs of that file's ``extract_bounding_boxes`` and ``compute_iou``, both empty being
1. A figure is null where their code raises.

Each row of the file is [kind, reference boxes, answer, mAP50, soft-F1].
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path
from types import ModuleType

from scipy.optimize import linear_sum_assignment

HERE = Path(__file__).parent
EACH = 24
NAMES = ["left lung", "right lung", "heart", "pleural effusion", "nodule/mass", "aortic enlargement"]


def main() -> None:
    theirs = load(Path(sys.argv[1]))
    rows = []
    for kind, make in KINDS.items():
        for i in range(EACH):
            rng = random.Random(f"{kind} {i}")
            wanted = [box(rng) for _ in range(rng.randint(1, 4))]
            boxes, text = make(wanted, rng)
            rows.append([kind, boxes, text, map50(theirs, boxes, text), soft_f1(theirs, boxes, text)])
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (HERE / "golden_grounding.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(rows)} answers of {len(KINDS)} kinds")


def load(folder: Path) -> ModuleType:
    """Returns their module; what it imports for reports, and does not use for boxes, is left out."""
    stub = ModuleType("radvlm.evaluation.vilmedic.utils")
    stub.calcAllMetrics_whole = None
    sys.modules[stub.__name__] = stub
    for name in ("radvlm", "radvlm.evaluation", "radvlm.evaluation.vilmedic"):
        sys.modules[name] = ModuleType(name)
    path = folder / "RadVLM" / "radvlm" / "evaluation" / "compute_metrics_tasks.py"
    spec = importlib.util.spec_from_file_location("compute_metrics_tasks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def map50(theirs: ModuleType, boxes: list, text: str) -> float | None:
    try:
        return float(theirs.evaluate_boxes([{"output": text, "boxes": boxes}])["mAP_0.5"])
    except (ValueError, ZeroDivisionError):
        return None


def soft_f1(theirs: ModuleType, boxes: list, text: str) -> float | None:
    try:
        found = theirs.extract_bounding_boxes(text)
        if not found or not boxes:
            return float(len(found) == len(boxes))
        ious = [[theirs.compute_iou(a, b) for b in boxes] for a in found]
    except (ValueError, ZeroDivisionError):
        return None
    pairs = zip(*linear_sum_assignment(ious, maximize=True), strict=True)
    return float(2 * sum(ious[i][j] for i, j in pairs) / (len(found) + len(boxes)))


# The answers


def box(rng: random.Random) -> list[float]:
    x1, y1 = rng.randint(2, 70), rng.randint(2, 70)
    return [v / 100 for v in (x1, y1, x1 + rng.randint(8, 97 - x1), y1 + rng.randint(8, 97 - y1))]


def near(one: list[float], rng: random.Random) -> list[float]:
    """Returns the box with its corners moved by up to a twentieth."""
    return [round(min(max(v + rng.uniform(-0.05, 0.05), 0.0), 1.0), 2) for v in one]


def brackets(one: list[float], form: str = "[{}, {}, {}, {}]") -> str:
    return form.format(*one)


def joined(boxes: list[list[float]]) -> str:
    said = [brackets(one) for one in boxes]
    return " and ".join(filter(None, [", ".join(said[:-1]), said[-1]]))


def sentence(boxes: list[list[float]], rng: random.Random) -> str:
    """Returns sentences that name what they point at, of one or several boxes each."""
    parts = []
    while boxes:
        count = rng.randint(1, len(boxes))
        form = rng.choice(["the {} lies at {}", "a {} is found at the coordinates {}", "I see the {} at {}"])
        parts.append(form.format(rng.choice(NAMES), joined(boxes[:count])))
        boxes = boxes[count:]
    text = rng.choice(["; ", ", and ", " in the film. "]).join(parts)
    return text[0].upper() + text[1:] + rng.choice([".", " on this X-ray."])


def listed(boxes: list[list[float]], rng: random.Random) -> str:
    return ", ".join(f"{rng.choice(NAMES)} {brackets(one)}" for one in boxes)


def changed(boxes: list[list[float]], rng: random.Random, change) -> str:
    """Returns a list of boxes nearby in which one, not always the first, is written otherwise."""
    odd = rng.randrange(len(boxes))
    parts = [(change if i == odd else brackets)(near(one, rng)) for i, one in enumerate(boxes)]
    return ", ".join(f"{rng.choice(NAMES)} {part}" for part in parts)


def too_many(boxes, rng):
    more = [near(one, rng) for one in boxes] + [box(rng) for _ in range(rng.randint(1, 3))]
    rng.shuffle(more)
    return boxes, listed(more, rng)


def json_list(boxes, rng):
    items = [{"bbox_2d": near(one, rng), "label": rng.choice(NAMES)} for one in boxes]
    return boxes, f"```json\n{json.dumps(items)}\n```"


def outside(boxes, rng, low, high):
    return boxes, changed(boxes, rng, lambda b: brackets([*b[:2], round(1 + rng.uniform(low, high), 3), b[3]]))


KINDS = {
    # both read these alike
    "the same boxes": lambda b, rng: (b, listed(b, rng)),
    "boxes nearby": lambda b, rng: (b, listed([near(one, rng) for one in b], rng)),
    "sentences with several labels": lambda b, rng: (b, sentence([near(one, rng) for one in b], rng)),
    "boxes too many, in any order": too_many,
    "boxes too few": lambda b, rng: ([*b, box(rng)], listed([near(one, rng) for one in b[:2]], rng)),
    "the same box again and again": lambda b, rng: (b, listed([near(b[0], rng)] * rng.randint(2, 4), rng)),
    "many decimals": lambda b, rng: (b, listed([[v + rng.uniform(0, 0.01) for v in one] for one in b], rng)),
    "no digit before or after the point": lambda b, rng: (
        b,
        changed(b, rng, lambda one: f"[{one[0]:.2f}".replace("[0.", "[.") + f", {one[1]}, {one[2]}, 1.]"),
    ),
    "JSON in 0-1": json_list,
    "a line after every number": lambda b, rng: (
        b, "\n".join(brackets(near(one, rng), "[{},\n{},\n{},\n{}]") for one in b),
    ),
    "a list that breaks off": lambda b, rng: (b, listed([near(one, rng) for one in b], rng) + ", heart [0.2, 0.3"),
    "0-1000 where 0-1 was told": lambda b, rng: (b, listed([[round(1000 * v) for v in one] for one in b], rng)),
    "corners the wrong way round": lambda b, rng: (
        b, changed(b, rng, lambda one: brackets([one[2], one[1], one[0], one[3]])),
    ),
    "no width": lambda b, rng: (b, changed(b, rng, lambda one: brackets([one[0], one[1], one[0], one[3]]))),
    "none said, none there": lambda b, rng: (
        [], rng.choice(["none", "No box.", "[]", f"No {rng.choice(NAMES[3:5])} is seen.", "There is nothing to mark."]),
    ),
    "none said, some there": lambda b, rng: (b, f"There is no {rng.choice(NAMES[3:])}."),
    "boxes, none there": lambda b, rng: ([], sentence([near(one, rng) for one in b], rng)),
    "words, some there": lambda b, rng: (b, f"There is a {rng.choice(NAMES[3:])} in the left lower zone."),
    # these differently
    "a hundredth outside": lambda b, rng: outside(b, rng, 0.001, 0.01),
    "farther outside": lambda b, rng: outside(b, rng, 0.02, 0.3),
    "below zero": lambda b, rng: (b, changed(b, rng, lambda one: brackets([round(-one[0], 2), *one[1:]]))),
    "three numbers": lambda b, rng: (b, changed(b, rng, lambda one: brackets(one, "[{}, {}, {}]"))),
    "a fifth number": lambda b, rng: (b, changed(b, rng, lambda one: brackets([*one, 0.9], "[{}, {}, {}, {}, {}]"))),
    "round brackets": lambda b, rng: (b, listed(b, rng).replace("[", "(").replace("]", ")")),
    "corner by corner": lambda b, rng: (
        b, "".join(f"{name}({x1},{y1}),({x2},{y2})" for name, (x1, y1, x2, y2) in zip(NAMES, b, strict=False)),
    ),
    "space within the brackets": lambda b, rng: (b, changed(b, rng, lambda one: brackets(one, "[ {}, {}, {}, {} ]"))),
    "full-width commas": lambda b, rng: (b, changed(b, rng, lambda one: brackets(one, "[{}，{}，{}，{}]"))),
    "a number that is none": lambda b, rng: (b, changed(b, rng, lambda one: brackets(one, "[{}.5, {}, {}, {}]"))),
    "words, none there": lambda b, rng: ([], f"There is a {rng.choice(NAMES[3:])} in the left lower zone."),
    "a notation of its own, none there": lambda b, rng: (
        [], rng.choice(["x1={}, y1={}, x2={}, y2={}", "{} {} {} {}", "<x{}><y{}><x{}><y{}>"]).format(*near(b[0], rng)),
    ),
    "nothing written, none there": lambda b, rng: ([], rng.choice(["", " ", "..."])),
}  # fmt: skip

if __name__ == "__main__":
    main()
