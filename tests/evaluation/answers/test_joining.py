"""Files of results as others publish them, keys and all, are joined to the right cases or refused; real questions."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radrl.errors import UserError
from radrl.evaluation.answers import foreign, joining
from radrl.evaluation.answers.predictions import arrange_by_sample
from radrl.example import Box, Example
from radrl.prompt.messages import PromptStyle

DIRECT, THINKING = PromptStyle(), PromptStyle(thinking=True)


@pytest.fixture(scope="module")
def vqa_rad(shared_data):
    """201 questions on 28 images; "Is there a pneumothorax?" and the like are asked of several."""
    file = shared_data / "vqa_rad_subset/vqa_rad_subset.jsonl"
    return [
        Example(
            id=f"vqa_rad/{row['qid']}",
            task="vqa_open",
            question=row["question"],
            reference=row["answer"],
            images=(f"images/{row['image']}.png",),  # as `radrl data prepare` copies it
        )
        for row in map(json.loads, file.open())
    ]


CHOICES = ("AP", "PA", "lateral", "oblique")
PMC = [
    Example(
        id=f"pmc_vqa/test_2/{k}",
        task="vqa_closed",
        question="Which view is shown?" if k < 6 else f"What does arrow {k} show?",
        choices=tuple(f"{c} {k}" for c in CHOICES),
        reference=f"PA {k}",
        images=(f"figures/PMC{k}_1.jpg",),
    )
    for k in range(12)
]
STUDIES = [
    Example(
        id=f"chexpert/patient{p}/study{s}/view1/{task}",
        task=task,
        question=wording,
        reference="Nodule" if task == "grounding" else f"Clear lungs, {p}-{s}.",
        boxes=(Box(xyxy=(0.1, 0.1, 0.2, 0.2), label="nodule"),) if task == "grounding" else (),
        images=(f"images/test/patient{p}/study{s}/view1_frontal.jpg.png",),
        patient=f"patient{p}",
        study=f"patient{p}/study{s}",
    )
    for p in (1, 2, 3)
    for s in (1, 2)
    for task, wording in (("report", "Describe the film."),)
]


def answer(example: Example) -> str:
    return f"Said of {example.images[0]}: {example.question} {example.choices}"  # what a model sees


def published(name: str, examples: list[Example]) -> list[dict]:
    """The records of a publication's program, by its field names; read off its source, or its published example."""
    rows = []
    for k, e in enumerate(examples):
        said, stem = answer(e), e.images[0].removesuffix(".png")
        options = "".join(f"\n\n{'ABCD'[i]}. {c}" for i, c in enumerate(e.choices))
        rows.append(
            {
                # evaluate_instructions.py of RadVLM, models_loading_inference.py of RadVLM-GRPO: idx is of its data set
                "radvlm": {
                    "full_output": f"<think>x</think>{said}", "output": said, "instr": "Provide a report.",
                    "answer": "x", "idx": k + 1, "img_path": f"/data/{stem}", "txt": float("nan"),
                },
                # utils/VQA_RAD/VQA_RAD.py, utils/PMC_VQA/PMC_VQA.py of MedEvalKit: the image is taken out
                "medevalkit": {"question": e.question, "answer": e.reference, "response": said, "correct": True},
                "medevalkit_pmc": {
                    "prompt": f"\nQuestion: {e.question}\nOptions: {options}\nAnswer with the option's letter.",
                    "answer": "B", "choices": list(e.choices), "response": said, "correct": False,
                },
                # utils/OmniMedVQA/OmniMedVQA.py of MedEvalKit
                "medevalkit_omni": {
                    "dataset": "x", "question_id": e.id.rpartition("/")[2], "image_path": f"data/{stem}",
                    "question": e.question, "choices": list(e.choices), "answer": "B", "response": said,
                },
                # eval/run_offline_inference.py of MedVLThinker; its order is that of the shards
                "medvlthinker": {
                    "dp_index": k, "dataset_name": "pmc_vqa", "dataset_index": k + 1, "answer_label": "B",
                    "prompts": f"<|im_start|>user\nYou will solve a problem.\n\nQuestion: {e.question}\n\nOptions:"
                    f"{options}<|im_end|>\n<|im_start|>assistant\n", "answer": e.reference,
                    "parsed_outputs": [{"output_text": said, "pred_letter": "B", "is_correct": True}],
                    "num_rollouts": 1, "num_correct": 1,
                },
                # src/eval/test_rec_r1.py of VLM-R1
                "vlm_r1": {
                    "image": stem, "question": e.question, "ground_truth": [1, 2, 3, 4], "model_output": said,
                    "extracted_answer": None, "correct": 0,
                },
                # LLaVA's model_vqa.py and RadVLM's copy of it
                "llava": {"question_id": e.id.rpartition("/")[2],
                          "prompt": e.question, "text": said, "answer_id": "y", "model_id": "m", "metadata": {}},
                # verl's and EasyR1's dumps of validation
                "verl": {"input": f"user\n{e.question}{options}\nassistant\n", "output": said, "gts": e.reference,
                         "score": 1.0, "step": 3},
                # evaluation/mmmu/run_mmmu.py of Qwen3-VL
                "qwen3_vl": {"question_id": e.id, "annotation": {"question": e.question}, "task": "x",
                             "result": {"gen": said, "gen_raw": f"<think>x</think>{said}"}},
                # COCO's results
                "coco": {"image_id": e.id, "caption": said},
            }[name]
        )  # fmt: skip
    return rows


def joined(path, examples, style=DIRECT) -> list[str]:
    header, rows = foreign.read_foreign(path, examples, style)
    return [one.completion for one in arrange_by_sample(rows, examples, header.samples, path)[0]]


def write(path, records, form=None):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(one) + "\n" for one in records))
    else:
        path.write_text(json.dumps({"accuracy": 1.0, "results": records} if form == "vlm_r1" else records))
    return path


@pytest.mark.parametrize(
    ("name", "suffix", "ordered"),
    [
        ("radvlm", ".json", False), ("medevalkit_pmc", ".json", False), ("medevalkit_omni", ".json", False),
        ("medvlthinker", ".jsonl", False), ("vlm_r1", ".json", False), ("verl", ".jsonl", False),
        ("qwen3_vl", ".jsonl", False), ("coco", ".json", False), ("medevalkit_pmc", ".jsonl", True),
    ],
)  # fmt: skip
def test_published_results_on_multiple_choice(tmp_path, name, suffix, ordered):
    records = published(name, PMC)
    if not ordered:
        random.Random(3).shuffle(records)
    assert joined(write(tmp_path / f"x{suffix}", records, name), PMC) == [answer(e) for e in PMC]


@pytest.mark.parametrize(
    ("name", "suffix", "ordered"),
    [
        ("vlm_r1", ".json", False), ("medevalkit_omni", ".json", False), ("llava", ".jsonl", False),
        ("medevalkit", ".json", True), ("verl", ".jsonl", True),
    ],
)  # fmt: skip
def test_published_results_on_vqa_rad(tmp_path, vqa_rad, name, suffix, ordered):
    records = published(name, vqa_rad)
    if not ordered:
        random.Random(3).shuffle(records)
    assert joined(write(tmp_path / f"x{suffix}", records, name), vqa_rad) == [answer(e) for e in vqa_rad]


def test_questions_that_several_images_are_asked_are_not_guessed_at(tmp_path, vqa_rad, refusal):
    """Without the image only the order can tell, and it is another one: two films share a question and its answer."""
    examples = [
        vqa_rad[0],
        vqa_rad[0].model_copy(update={"id": "vqa_rad/9999", "images": ("other.png",)}),
        *vqa_rad[1:9],
    ]
    records = published("medevalkit", examples)
    assert joined(write(tmp_path / "x.json", records), examples) == [answer(e) for e in examples]
    message = refusal(joined, write(tmp_path / "x.json", records[::-1]), examples)
    assert "2 missing ids: 'vqa_rad/785', 'vqa_rad/9999'; 2 ids that are not in the manifest: 'output 9'" in message


def test_the_same_question_on_an_image_that_is_not_in_the_manifest_is_no_answer(tmp_path, vqa_rad, refusal):
    records = published("vlm_r1", vqa_rad)
    records[0]["image"] = "images/another.jpg"
    message = refusal(joined, write(tmp_path / "x.json", records), vqa_rad)
    assert "1 missing ids: 'vqa_rad/785'; 1 ids that are not in the manifest: 'output 1'" in message


def test_image_paths_are_compared_as_far_as_they_must(tmp_path):
    """CheXpert calls every first frontal film view1_frontal.jpg; the folders above tell."""
    assert joined(write(tmp_path / "x.json", published("radvlm", STUDIES)[::-1]), STUDIES) == [
        answer(e) for e in STUDIES
    ]


@pytest.mark.parametrize("shift", [0, 1])
def test_an_index_of_another_data_set_does_not_win_over_the_image(tmp_path, shift):
    """Ids that are numbers, and an idx beside the image that counts something else."""
    examples = [e.model_copy(update={"id": str(k)}) for k, e in enumerate(PMC)]
    records = [
        {"idx": (k + shift) % 12, "img_path": f"/a/PMC{k}_1.jpg", "output": answer(e)} for k, e in enumerate(examples)
    ]
    assert joined(write(tmp_path / "x.json", records), examples) == [answer(e) for e in examples]
    only = [{"idx": k, "output": answer(e)} for k, e in enumerate(examples)]
    assert joined(write(tmp_path / "y.json", only[::-1]), examples) == [answer(e) for e in examples]


def test_an_index_alone_is_no_end_of_an_id_and_no_study(tmp_path, refusal):
    records = [{"index": k, "output": answer(e)} for k, e in enumerate(PMC)]
    studies = [e.model_copy(update={"id": f"iu/CXR{k}", "study": str(k)}) for k, e in enumerate(PMC)]
    for examples in (PMC, studies):
        message = refusal(joined, write(tmp_path / "x.json", records), examples)
        assert "12 ids that are not in the manifest: '0'" in message


def test_labels_tell_the_boxes_of_one_film_apart(tmp_path):
    examples = [
        Example(
            id=f"vindr/{k}/{label}",
            task="grounding",
            question=f"Where is {label}?",
            images=(f"images/{k}.png",),
            boxes=(Box(xyxy=(0.1, 0.1, 0.2, 0.2), label=label),),
        )
        for k in range(4)
        for label in ("nodule", "effusion")
    ]
    records = [
        {"instr": "Point it out.", "img_path": f"/x/{e.images[0]}", "label": e.boxes[0].label, "output": answer(e)}
        for e in examples
    ]
    assert joined(write(tmp_path / "x.json", records[::-1]), examples) == [answer(e) for e in examples]


def test_thinking_is_taken_with_the_answer_where_it_is_asked_for(tmp_path):
    for name, suffix in (("radvlm", ".json"), ("qwen3_vl", ".jsonl")):
        path = write(tmp_path / f"x{suffix}", published(name, PMC))
        assert joined(path, PMC, THINKING)[0] == f"<think>x</think>{answer(PMC[0])}"
        assert joined(path, PMC)[0] == answer(PMC[0])


def test_several_answers_in_one_record_are_samples(tmp_path):
    records = published("medvlthinker", PMC)
    for record in records:
        record["parsed_outputs"] *= 3
    header, rows = foreign.read_foreign(write(tmp_path / "x.jsonl", records), PMC, DIRECT)
    assert header.samples == 3
    assert len(arrange_by_sample(rows, PMC, 3, "x")[2]) == len(PMC)


def test_columns_of_a_table_are_keys_too(tmp_path):
    lines = [f'x/PMC{k}_1.jpg,"{answer(e)}"' for k, e in enumerate(PMC)]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["image_path,prediction", *lines[::-1]]))
    assert joined(path, PMC) == [answer(e) for e in PMC]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"output": "a", "response": "b"},
            "'output' and 'response' both may be the model's text; name it 'completion'",
        ),
        ({"output": "a", "response": "b", "completion": "c"}, ""),
        ({"text": "a", "caption": "b"}, "'text' and 'caption' both may be"),
        ({"text": "a", "answer": "the reference"}, ""),
        ({"answer": "a"}, ""),
        ({"reasoning": "a", "gt": "b"}, "no text under 'output'; its keys: id, reasoning, gt"),
        ({"output": None}, "output 1: has no text under 'output'; its keys: id, output"),
        ({"output": ""}, ""),
    ],
)
def test_the_models_text_is_never_guessed(tmp_path, refusal, fields, said):
    path = write(tmp_path / "x.json", [{"id": e.id, **fields} for e in PMC])
    if said:
        assert said in refusal(joined, path, PMC)
    else:
        wanted = fields.get("completion", fields.get("output", fields.get("text", fields.get("answer"))))
        assert joined(path, PMC) == [wanted] * len(PMC)


KEYS = st.sampled_from(
    [*joining.NAMES, *joining.IMAGES, *joining.COUNTERS, *joining.QUESTIONS, *joining.REFERENCES, *joining.MODELS,
     *joining.MAYBE, joining.SURE, "full_output", "result", "sample", "tokens", "\ud800"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["0", "a/b.png", PMC[0].question])
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.sampled_from([".json", ".jsonl"]), st.lists(st.dictionaries(KEYS, VALUES, max_size=5), max_size=4), VALUES)
def test_any_records_are_read_or_refused_in_one_line(tmp_path_factory, suffix, records, other):
    path = tmp_path_factory.mktemp("any") / f"x{suffix}"
    for content in (records, other, {"a": records}):
        text = "\n".join(map(json.dumps, content)) if suffix == ".jsonl" and content is records else json.dumps(content)
        path.write_text(text)
        try:
            _, rows = foreign.read_foreign(path, PMC, DIRECT)
        except UserError as error:
            said = str(error)
        else:
            said = str(path)
            json.dumps([one._asdict() for one in rows]).encode()
        assert said.startswith(str(path))
        assert said.isprintable()
