"""Several readers' boxes of one finding to one set of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radrl.boxes.geometry import iou
from radrl.data.published.record import XYXY, corners

RULES = ("wbf", "majority", "union")


def fuse(boxes: Sequence[XYXY], readers: Sequence[str], rule: str, threshold: float, asked: int) -> list[XYXY]:
    """Returns the boxes that ``asked`` readers together give for one finding, in the unit they came in.

    Boxes are gathered as in weighted box fusion (arXiv 1910.13302) with all weights and scores 1: one after the other,
    each joins the group whose mean box it overlaps most, if by more than ``threshold`` IoU, or begins a group. ``wbf``
    gives each group's mean; ``majority`` gives it of groups to which more than half of the readers belong; ``union``
    gives the smallest box around each group.

    Raises:
        ValueError: an unknown rule.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule '{rule}'; known: {', '.join(RULES)}")
    groups: list[list[int]] = []
    means: list[np.ndarray] = []
    every = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    overlaps = iou(every, every)
    for index, box in enumerate(every):
        # a group of one is its own mean
        overlap = [
            overlaps[group[0], index] if len(group) == 1 else iou(mean, box)[0, 0]
            for group, mean in zip(groups, means, strict=True)
        ]
        best = int(np.argmax(overlap)) if overlap else -1
        if best >= 0 and overlap[best] > threshold:
            groups[best].append(index)
            means[best] = every[groups[best]].mean(axis=0)
        else:
            groups.append([index])
            means.append(box)
    if rule == "majority":
        kept = [k for k, group in enumerate(groups) if 2 * len({readers[i] for i in group}) > asked]
        means = [means[k] for k in kept]
    elif rule == "union":
        means = [np.concatenate([every[g, :2].min(axis=0), every[g, 2:].max(axis=0)]) for g in groups]
    return [corners(mean) for mean in means]
