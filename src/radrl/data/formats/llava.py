"""LLaVA-style JSON, the format of RadVLM's instruction data, to Examples (arXiv 2502.03333); back: llava_export.py.

    {"id": ..., "image": path or list of paths, "conversations": [
        {"from": "human", "value": "<image>\\n..."}, {"from": "gpt", "value": "..."}, ...]}

A conversation becomes one Example a turn, with the turns before it as history. Boxes stand in the answers, as ``[0.12,
0.34, 0.56, 0.78]``. ``images`` and ``messages`` of ``role`` and ``content``, as ms-swift, LLaMA-Factory and TRL write
them, are read too. What the format has no place for is written as further keys, which LLaVA's loader does not look at:
``patient``, ``study`` and ``source`` beside ``id``; ``task``, ``choices``, ``labels`` and ``label_set`` beside the
answer. Written without thinking, findings, meta, digits of boxes after the second, and the text of an answer beside its
boxes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from radrl.boxes.notation import boxes_text, read_boxes
from radrl.choices.picking import LETTERS, is_yes_no
from radrl.clinical.label_sets import read_labels
from radrl.data.formats.image_tags import TAG, without_tags
from radrl.example import MOST_CHOICES, TASKS, Example, Task, Turn
from radrl.label_names import is_nothing, label_key
from radrl.prompt.messages import as_turn

ROLES = {"human": 0, "user": 0, "gpt": 1, "assistant": 1}
TALK = ("conversations", "messages", "conversation", "conversatons")  # the last is a slip that published files share
THINKING = re.compile(r"\s*<think>(.*?)</think>(.*)", re.DOTALL)
PLACEHOLDER = re.compile(r"<(?:bbox|ref-object|video|audio)>")
WRAPPED = re.compile(r"\s*<answer>(.*)</answer>\s*", re.DOTALL)
KEPT = ("patient", "study", "source")
MOST_TURNS = 200  # each Example holds the turns before it
# ids of RadVLM's data (create_llava_dataset.py): vindr-cxr-mono-train1_1234
RADVLM_ID = re.compile(r"([a-z][a-z-]{0,40}?)-(?:train|valid|test)\d?_\d+(?:#\d+)?")
CHEXPERT = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion",
    "Lung Opacity", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices",
)  # fmt: skip
"""The labels of RadVLM's classification instructions, which do not list them; ``pathologies`` beside them wins."""
CLASSIFIED = ("mimic-labels", "chexpert")
RADVLM: Mapping[str, Task] = {
    **dict.fromkeys(("vindr-cxr", "vindr-cxr-mono", "mscxr", "padchest", "chestima"), "grounding"),
    **dict.fromkeys(("mimic", "chexpertplus"), "report"),
    **dict.fromkeys(CLASSIFIED, "classification"),
    **dict.fromkeys(("conv", "conv-grounded", "conv-grounded-padchest"), "vqa_open"),
}
PATIENT = re.compile(r"(?:^|/)(?:(p\d{8})/(s\d{8})|(patient\d{5})/(study\d{1,3}))/")  # of MIMIC-CXR and CheXpert


def read_item(item: Any, name: str = "", images: tuple[str, ...] | None = None) -> list[Example]:
    """Returns the Examples of one conversation; ``name`` is its id where it has none, ``images`` its images where they
    lie elsewhere than it says.

    The task is the one beside the answer; else grounding where the answer has boxes; else what RadVLM's ids say
    (mscxr-train1_5: grounding, mimic-train_5: report, mimic-labels-train_5: classification); else an open question.
    ``<think>`` before an answer becomes its thinking, a system message ``meta.system``. A turn without an answer is
    left out; where no turn has one the list is empty. ``<image>`` within a sentence becomes "the image", or "image 2".

    Raises:
        ValueError: it is no such conversation.
    """
    try:
        return _read_item(item, id_of(item, name), images)
    except KeyError as error:
        raise ValueError(f"no key {error}") from None
    except (TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"no conversation ({error})") from None


def _read_item(item: Mapping[str, Any], name: str, images: tuple[str, ...] | None) -> list[Example]:
    system, turns = _turns_of(item)
    if len(turns) > MOST_TURNS:
        raise ValueError(f"more than {MOST_TURNS} turns")
    if not turns or len(turns) % 2 or any(ROLES[turn["from"]] != i % 2 for i, turn in enumerate(turns)):
        raise ValueError("the turns do not alternate between human and gpt, human first")
    images = images_of(item) if images is None else images
    tags = turns[0]["value"].count(TAG)
    unmarked = "messages" in item and not tags  # ms-swift puts such images first
    if (tags != len(images) and not unmarked) or any(TAG in turn["value"] for turn in turns[1:]):
        raise ValueError(f"{len(images)} images, but not as many {TAG} in the first turn alone")
    if any(PLACEHOLDER.search(turn["value"]) for turn in turns):
        raise ValueError(
            "a text holds <bbox>, <ref-object>, <video> or <audio>, to be filled from elsewhere; write it out"
        )
    match = RADVLM_ID.fullmatch(name)
    kind = match.group(1) if match and match.group(1) in RADVLM else ""
    common = {**patient_study_source(item), "images": images}
    meta = ({"type": kind} if kind else {}) | ({"system": system} if system else {})
    labels = item.get("pathologies", CHEXPERT) if kind in CLASSIFIED else ()
    taught = [k for k in range(len(turns) // 2) if turns[2 * k + 1].get("loss", True)]
    found: list[Example] = []
    history: tuple[Turn, ...] = ()
    for k in range(len(turns) // 2):
        asked, (thinking, answer) = without_tags(turns[2 * k]["value"]), _thought(turns[2 * k + 1])
        if not answer["value"].strip() and "task" not in answer:  # radrl's own export may teach to say nothing
            continue
        fields = {**common, **_fields(asked, answer, RADVLM.get(kind, "vqa_open"), labels)}
        fields["meta"] = {**meta, **fields.get("meta", {})}
        if kind in CLASSIFIED:
            _agree(item.get("labels"), fields)
        if thinking:
            fields["thinking"] = thinking
        example = Example(id=name if len(taught) == 1 else f"{name}/{k}", history=history, **fields)
        if k in taught:
            found.append(example)
        if 2 * k + 2 < len(turns):
            history = (*history, as_turn(example))
    if not taught:
        raise ValueError("no answer is to be taught")
    return found


def _turns_of(item: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Returns the system message and the turns, by LLaVA's keys."""
    name = next((name for name in TALK if name in item), TALK[0])
    turns = []
    for turn in item[name]:
        content = turn["content"] if "value" not in turn and "content" in turn else turn["value"]
        if not isinstance(content, str):  # TRL's parts
            content = "".join(TAG if part["type"] == "image" else part["text"] for part in content)
        turns.append({**turn, "from": turn["role"] if "from" not in turn else turn["from"], "value": content})
    if turns and turns[0]["from"] == "system":
        return turns[0]["value"].strip(), turns[1:]
    return "", turns


def _thought(turn: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Returns the thinking before an answer, and the turn without it and without tags around the answer."""
    match = THINKING.fullmatch(turn["value"])
    thinking, text = (match.group(1).strip(), match.group(2)) if match else ("", turn["value"])
    if "<think>" in text or "</think>" in text:
        raise ValueError("the thinking of an answer does not begin with <think> and end with </think>; mend it")
    wrapped = WRAPPED.fullmatch(text)
    return thinking, {**turn, "value": wrapped.group(1) if wrapped else text}


def images_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the image paths of a conversation, as they stand there. Raises ValueError where they are none."""
    given = item.get("image") or item.get("images") or ()
    images = (given,) if isinstance(given, str | dict) else tuple(given)
    paths = [image["path"] if isinstance(image, dict) and "path" in image else image for image in images]
    if not all(isinstance(path, str) for path in paths):
        raise ValueError("'image' holds something else than paths")
    return tuple(map(str, paths))


def patient_study_source(item: Mapping[str, Any]) -> dict[str, str]:
    """Returns patient, study and source of a conversation: its own, else those that a path of MIMIC-CXR or CheXpert
    tells. Raises ValueError where one is no text."""
    images = images_of(item)
    match = PATIENT.search(images[0]) if images else None
    found = {"patient": match.group(1) or match.group(3), "study": match.group(2) or match.group(4)} if match else {}
    found |= {key: item[key] for key in KEPT if key in item}
    if not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f"one of {', '.join(found)} is no text")
    return found


def id_of(item: Mapping[str, Any], otherwise: str) -> str:
    """Returns the id of a conversation, ``otherwise`` where it has none. Raises ValueError where it is no text."""
    name = item.get("id", "")
    if not isinstance(name, str | int):
        raise ValueError(f"'id' holds {type(name).__name__}, not text")
    return str(name) or otherwise


def _fields(asked: str, turn: Mapping[str, Any], otherwise: Task, label_set: Sequence[str]) -> dict[str, Any]:
    """Returns task, question, reference, boxes, choices and labels of a turn; ``label_set`` are the labels of RadVLM's
    classification instructions."""
    text = turn["value"].strip()
    choices = tuple(turn.get("choices", ()))
    if len(choices) > MOST_CHOICES:
        raise ValueError(f"{len(choices)} choices, more than {MOST_CHOICES}")
    task = turn.get("task")
    if task not in TASKS:
        if task is not None:
            raise ValueError(f"task {task!r} is none of {', '.join(TASKS)}")
        task = "grounding" if read_boxes(text, "unit").boxes else otherwise
    fields = {"task": task, "question": asked, "reference": text, "choices": choices}
    if task == "grounding":
        return fields | _boxes(text)
    if task == "classification":
        return fields | _labels(asked, turn, choices, label_set)
    if choices and not is_yes_no(choices):
        options = _options(choices)
        answers = [choice for i, choice in enumerate(choices) if text == f"{LETTERS[i]}. {choice}"]
        if not asked.endswith(f" {options}") or not answers:
            raise ValueError("question or answer are not written with the choices")
        fields |= {"question": asked.removesuffix(f" {options}"), "reference": answers[0]}
    return fields


def _options(choices: Sequence[str]) -> str:
    return " ".join(f"{LETTERS[i]}. {choice}" for i, choice in enumerate(choices))


def _labels(asked: str, turn: Mapping[str, Any], choices: tuple[str, ...], label_set: Sequence[str]) -> dict[str, Any]:
    """Returns question and labels of a classification question: the labels beside the answer, else those it names."""
    if choices and not asked.endswith(f" {_options(choices)}"):
        raise ValueError("the question is not written with the choices")
    fields: dict[str, Any] = {"question": asked.removesuffix(f" {_options(choices)}") if choices else asked}
    if not choices:
        fields["label_set"] = tuple(turn.get("label_set", () if "labels" in turn else label_set))
    if "labels" in turn:
        return fields | {"labels": tuple(turn["labels"])}
    named = read_labels(turn["value"], choices, fields.get("label_set", ()))
    if not named.labels or not named.readable:
        raise ValueError(f"which labels '{turn['value'][:80]}' names cannot be read")
    return fields | {"labels": named.labels}


def _agree(labels: Any, fields: Mapping[str, Any]) -> None:
    """Raises ValueError where RadVLM's ``labels`` beside a conversation are not those that its answer names."""
    if fields["task"] == "classification" and isinstance(labels, list) and all(isinstance(x, str) for x in labels):
        beside, named = (
            {label_key(name) for name in some if not is_nothing(name)} for some in (labels, fields["labels"])
        )
        if beside != named:
            said = ", ".join(fields["labels"])
            raise ValueError(f"its labels are {', '.join(labels) or 'none'}, but the answer names {said}")


def _boxes(text: str) -> dict[str, Any]:
    boxes, _, _, whole = read_boxes(text, "unit")
    if not whole:
        raise ValueError(f"a box in '{text[:80]}' cannot be read")
    if not boxes:
        return {"reference": "" if text == "none" else text}
    meta = {}
    if boxes_text(boxes, "unit") != text:  # a sentence with boxes in it, as RadVLM writes them
        meta = {"answer": text}
    return {
        "boxes": boxes,
        "reference": ", ".join(dict.fromkeys(box.label for box in boxes if box.label)),
        "meta": meta,
    }
