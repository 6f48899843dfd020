"""LLaVA-style JSON: RadVLM's answers as boxes, conversations as turns, and a manifest there and back."""

from __future__ import annotations

import json
import string

import pytest
import sets
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.data.formats import llava
from radrl.data.formats.llava_export import write_llava
from radrl.data.published.json_lists import PART, json_items
from radrl.errors import UserError
from radrl.example import Box, Example, Turn
from radrl.manifest.example_set import read_manifests
from radrl.manifest.jsonl import read_manifest, write_manifest
from radrl.prompt.messages import PromptStyle, as_turn, target

items, talk = sets.module("llava").items, sets.module("llava").talk


def test_radvlm_instructions_become_examples(tmp_path, prepared):
    root, out = sets.write("llava", tmp_path / "in"), tmp_path / "out"
    assert prepared("llava", root, out, ("qa",)).examples == {"train": 8}
    examples = {e.id: e for e in read_manifests([out / "train.jsonl"])}
    found = examples["vindr-cxr-train1_0"]
    assert (found.task, found.reference) == ("grounding", "pleural effusion, aortic enlargement")
    assert [box.label for box in found.boxes] == ["pleural effusion"] * 2 + ["aortic enlargement"]
    assert found.boxes[1].xyxy == (0.6, 0.2, 0.9, 0.41)
    assert target(found, PromptStyle()).startswith("pleural effusion [0.10, 0.20, 0.35, 0.40], ")
    nothing = examples["vindr-cxr-train1_1"]
    assert (nothing.task, nothing.boxes, nothing.reference[:12]) == ("grounding", (), "I can't find")
    lung = examples["chestima-train_2"]
    assert ([box.label for box in lung.boxes], lung.patient, lung.study) == (["right lung"], "p10000032", "s50414267")
    assert lung.meta["answer"].startswith("You'll find")
    assert examples["mimic-train_3"].task == "report"
    labels = examples["chexpert-train_4"]
    assert (labels.task, labels.patient) == ("classification", "patient00001")
    assert (labels.labels, labels.label_set) == (("Edema", "Fracture"), ("Atelectasis", "Edema", "Fracture"))
    assert labels.reference == "The following abnormalities are present: edema and fracture."


def test_classification_instructions_of_radvlm_have_13_labels_unless_they_say_which():
    asked = talk("mimic-labels-train_0", "a.png", "Are there any abnormalities?", "It includes edema and lung opacity.")
    (found,) = llava.read_item(asked)
    assert (found.labels, len(found.label_set)) == (("Edema", "Lung Opacity"), 13)
    (normal,) = llava.read_item(talk("mimic-labels-train_1", "a.png", "Identify them", "There are no findings here."))
    assert (normal.task, normal.labels) == ("classification", ())
    with pytest.raises(ValueError, match="cannot be read"):
        llava.read_item(talk("mimic-labels-train_2", "a.png", "Identify them", "I do not know."))
    with pytest.raises(ValueError, match="its labels are Mass, but the answer names Edema"):
        llava.read_item(talk("chexpert-train_3", "a.png", "Identify them", "Edema.", labels=["Mass"]))


def test_a_conversation_is_an_example_a_turn_with_what_was_said_before(tmp_path):
    first, where, large = llava.read_item(items()[5], images=("film.jpg",))
    assert [e.id for e in (first, where, large)] == [f"conv-grounded-train1_5/{k}" for k in range(3)]
    assert [e.task for e in (first, where, large)] == ["vqa_open", "grounding", "vqa_open"]
    assert large.history == (
        Turn(question="What do you see?", answer="A small opacity."),
        Turn(question="Where is it?", boxes=(Box(xyxy=(0.5, 0.5, 0.6, 0.75), label="opacity"),)),
    )
    assert where.history == large.history[:1]


def test_more_choices_than_letters_are_one_wrong_record():
    asked = {"from": "human", "value": "Which?"}
    answer = {"from": "gpt", "value": "A. 0", "task": "vqa_closed", "choices": [str(i) for i in range(27)]}
    with pytest.raises(ValueError, match="27 choices, more than 26"):
        llava.read_item({"id": "a", "conversations": [asked, answer]})


def hundredths():
    return st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted).filter(lambda v: v[0] < v[1])


word = st.text(string.ascii_letters, min_size=1, max_size=8)
words = st.lists(word, min_size=1, max_size=4).map(" ".join).filter(lambda text: text != "none")
boxes = st.lists(
    st.builds(
        lambda x, y, label: Box(xyxy=tuple(v / 100 for v in (x[0], y[0], x[1], y[1])), label=label),
        hundredths(), hundredths(), words,
    ),
    min_size=1, max_size=3,
).map(tuple)  # fmt: skip
NONE = {"reference": "There are no findings on this film."}
answers = st.one_of(
    st.builds(lambda task, text: {"task": task, "reference": text}, st.sampled_from(["report", "vqa_open"]), words),
    st.builds(
        lambda b: {"task": "grounding", "boxes": b, "reference": ", ".join(dict.fromkeys(x.label for x in b))}, boxes
    ),
    st.just({"task": "grounding"}),
    st.lists(words, min_size=2, max_size=4, unique=True).map(
        lambda c: {"task": "vqa_closed", "choices": tuple(c), "reference": c[-1]}
    ),
    st.just({"task": "vqa_closed", "choices": ("Yes", "No"), "reference": "No"}),
    st.builds(
        lambda key, labels: (
            {"task": "classification", "labels": labels}
            | ({} if labels else NONE)
            | ({key: ("Edema", "Mass")} if key else {})
        ),
        st.sampled_from(["choices", "label_set", ""]),
        st.sets(st.sampled_from(["Edema", "Mass"])).map(tuple),
    ),
)
conversations = st.tuples(
    st.lists(st.tuples(words, answers), min_size=1, max_size=3),
    st.sampled_from([(), ("a.png",), ("a.png", "b/c.png")]),
    st.fixed_dictionaries({}, optional={"patient": word, "study": word, "source": word}),
)


def talked(conversation, name):
    turns, images, more = conversation
    history, found = (), []
    for k, (asked, fields) in enumerate(turns):
        number = name if len(turns) == 1 else f"{name}/{k}"
        found.append(Example(id=number, question=asked, images=images, history=history, **more, **fields))
        history = (*history, as_turn(found[-1]))
    return found


@settings(deadline=None, max_examples=80)
@given(st.lists(conversations, min_size=1, max_size=4))
def test_what_the_format_can_hold_comes_back_equal(tmp_path_factory, some):
    folder = tmp_path_factory.mktemp("there")
    examples = [e for k, one in enumerate(some) for e in talked(one, f"c{k}")]
    write_manifest(folder / "m.jsonl", examples)
    assert write_llava(folder / "m.jsonl", folder / "m.json") == len(some)
    written = [item for _, item in json_items(folder, ["m.json"])]
    assert [e for item in written for e in llava.read_item(item)] == examples
    assert all("<image>" not in turn["value"] for item in written for turn in item["conversations"][1:])


def test_the_whole_way_through_prepare(tmp_path, prepared):
    root = tmp_path / "in"
    sets.picture(root / "images/p1.png")
    box = Box(xyxy=(0.1, 0.2, 0.3, 0.4), label="mass")
    examples = [
        Example(id="r", task="report", question="Report?", images=("images/p1.png",), reference="Clear.", patient="p1"),
        Example(id="g", task="grounding", question="Where?", images=("images/p1.png",), boxes=(box,), reference="mass"),
    ]
    write_manifest(root / "test.jsonl", examples)
    write_llava(root / "test.jsonl", root / "test.json")
    (root / "test.jsonl").unlink()
    assert prepared("llava", root, tmp_path / "out", ("qa",)).examples == {"test": 2}
    back = read_manifest(tmp_path / "out/test.jsonl")
    assert [e.model_copy(update={"images": ("images/p1.png",)}) for e in back] == examples


def test_earlier_turns_that_are_no_examples_are_not_taught(tmp_path):
    asked = Example(
        id="x", task="vqa_open", question="And now?", reference="No.", history=(Turn(question="Mass?", answer="Yes."),)
    )
    write_manifest(tmp_path / "m.jsonl", [asked])
    write_llava(tmp_path / "m.jsonl", tmp_path / "m.json")
    (item,) = json.loads((tmp_path / "m.json").read_text())
    assert [turn.get("loss") for turn in item["conversations"]] == [None, False, None, None]
    assert llava.read_item(item) == [asked]


def test_a_tag_in_a_text_is_refused(tmp_path, refusal):
    write_manifest(tmp_path / "m.jsonl", [Example(id="x", task="vqa_open", question="What is <image>?", reference="a")])
    assert "'x': its text holds <image>" in refusal(write_llava, tmp_path / "m.jsonl", tmp_path / "m.json")
    assert not (tmp_path / "m.json").exists()


GOOD = talk("a", "i.png", "Where?", "At [0.1, 0.2, 0.3, 0.4].")


@pytest.mark.parametrize(
    "item",
    [
        3, [], {}, {"conversations": 3}, {"conversations": []}, {**GOOD, "conversations": GOOD["conversations"][:1]},
        {**GOOD, "image": ["a", "b"]}, {**GOOD, "image": 3}, {**GOOD, "conversations": GOOD["conversations"][::-1]},
        {**GOOD, "patient": 3}, talk("a", "i.png", "", "b"), talk("a", "i.png", "b", "<image>"),
        talk("a", "i.png", "b", 3),
        talk("a", "i.png", "Where?", "At [0.1, 0.2, 0.3, 0.4] and [0.3, 0.2, 0.1, 0.4]."),
        talk("a", "../../i.png", "Where?", "Here."), talk("a", "/etc/passwd", "Where?", "Here."),
        talk("a", "/other/i.png", "Where?", "Here."), talk("a", "/other/../i.png", "Where?", "Here."),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_conversation_is_left_out_and_the_next_one_read(tmp_path, prepared, item):
    sets.picture(tmp_path / "in/i.png")
    (tmp_path / "in/train.json").write_text(json.dumps([item, GOOD | {"id": "good"}]))
    summary = prepared("llava", tmp_path / "in", tmp_path / "out", ("qa",), skip_bad=True)
    assert (summary.examples, sum(summary.bad.values())) == ({"train": 1}, 1)
    assert [e.id for e in read_manifest(tmp_path / "out/train.jsonl")] == ["good"]


def test_conversations_stream_and_damage_is_named(tmp_path):
    many = [talk(f"a{k}", "i.png", "What?" * 9, "é" * 400) for k in range(2000)]  # several parts of the file
    text = json.dumps(many, ensure_ascii=False)
    assert len(text) > 3 * PART
    for name, content in (("a.json", text), ("b.jsonl", "\n".join(map(json.dumps, many)))):
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert [value for _, value in json_items(tmp_path, [name])] == many
    for broken in ("", "[", "[1", "[1,", "[1 2]", "[1]]", "[1] 2", '["a', "[" * 99_999, "\ufeff[nul]", "{", "tru"):
        (tmp_path / "c.json").write_text(broken, encoding="utf-8")
        with pytest.raises(UserError, match=r"c\.json"):
            list(json_items(tmp_path, ["c.json"]))
    for whole, values in {
        "[]": [],
        "[1]": [1],
        " [1 , 22,null]\n": [1, 22, None],
        "[NaN]": [None],
        "1\n2": [1, 2],
    }.items():
        (tmp_path / "c.json").write_text(whole)
        assert [value for _, value in json_items(tmp_path, ["c.json"])] == values


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        ("<image>\nWhat is seen?", "What is seen?"),
        ("What is seen? <image>", "What is seen?"),
        ("What is seen?\n<image>", "What is seen?"),
        ("Is there an effusion in <image>?", "Is there an effusion in the image?"),
        ("Describe the findings of <image>", "Describe the findings of the image"),
        ("Compare <image> with <image>.", "Compare image 1 with image 2."),
        ("Describe the <image>.", "Describe the image."),
        ("<image> shows which side?", "The image shows which side?"),
        ("<image>what is seen?", "what is seen?"),
        ("In this film <image>, where is it?", "In this film, where is it?"),
        ("<image>\n<image>\nWhich has grown?", "Which has grown?"),
        ("<image>\nThe film. And here, <image>, the one before.", "The film. And here, image 2, the one before."),
    ],
)  # fmt: skip
def test_an_image_in_a_sentence_keeps_its_name(asked, read):
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": "Yes."}]
    images = [f"{k}.png" for k in range(asked.count("<image>"))]
    assert llava.read_item({"id": "a", "image": images, "conversations": turns})[0].question == read


def test_messages_of_ms_swift_llama_factory_and_trl_are_the_same_conversation():
    wanted = [
        Example(
            id="a", task="vqa_open", question="Which side?", images=("f.png",), reference="Left.", thinking="It is L."
        )
    ]
    text = "<think>\nIt is L.\n</think>\n\n<answer>Left.</answer>"
    shared = [{"role": "user", "content": "<image>Which side?"}, {"role": "assistant", "content": text}]
    parts = [{"type": "image"}, {"type": "text", "text": "Which side?"}]
    trl = [{"role": "user", "content": parts}, {"role": "assistant", "content": [{"type": "text", "text": text}]}]
    unmarked = [{"role": "user", "content": "Which side?"}, shared[1]]
    for talked in (shared, trl, unmarked):
        assert llava.read_item({"id": "a", "images": ["f.png"], "messages": talked}) == wanted
    assert llava.read_item({"id": "a", "images": [{"path": "f.png"}], "conversatons": shared}) == wanted
    (told,) = llava.read_item({"id": "a", "messages": [{"role": "system", "content": "Be short."}, *unmarked]})
    assert (told.meta, told.images) == ({"system": "Be short."}, ())


def test_a_turn_without_an_answer_is_left_out():
    kept = llava.read_item(talk("a", "f.png", "What?", "", "Where?", "Left.", "Sure?", " "))
    assert [(e.id, e.question, e.history) for e in kept] == [("a/1", "Where?", ())]
    assert llava.read_item(talk("a", "f.png", "What?", "<think>no idea</think>")) == []


def test_ids_that_stand_twice_are_made_unique_and_counted(tmp_path, prepared):
    root = sets.write("llava", tmp_path / "in")
    again = [items()[3], items()[3], talk("empty", items()[0]["image"], "What?", "")]
    (root / "more_train.json").write_text(json.dumps(again))
    summary = prepared("llava", root, tmp_path / "out", ("qa",))
    assert (summary.renamed, summary.skipped, summary.examples) == (2, {"no answer": 1}, {"train": 10})
    examples = {e.id: e.task for e in read_manifests([tmp_path / "out" / "train.jsonl"])}
    assert [examples[f"mimic-train_3{end}"] for end in ("", "#2", "#3")] == ["report"] * 3


@pytest.mark.parametrize(
    ("asked", "answer", "why"),
    [
        ("Where is <bbox>?", "Left.", "a text holds <bbox>"),
        ("What is seen?", "It is <ref-object>", "a text holds <bbox>"),
        ("What is seen?", "It may be L. </think> Left.", "does not begin with <think>"),
        ("What is seen?", "<think>a</think> b </think> Left.", "does not begin with <think>"),
    ],
)
def test_what_must_be_filled_in_or_is_half_a_thought_is_refused(asked, answer, why):
    with pytest.raises(ValueError, match=why):
        llava.read_item(talk("a", "f.png", asked, answer))
