"""Boxes in pixels of the resized image, Qwen2.5-VL's convention: targets, prompts, rewards and evaluation relate them
to the size that Qwen's own image processor brings the image to."""

from __future__ import annotations

import base64
import io
import json
import re

import pytest
from openai_server import serve
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from radrl.answers.parsing import parse
from radrl.boxes.geometry import array, iou
from radrl.commands import train
from radrl.evaluation.answers.ask_model import ask_model
from radrl.evaluation.answers.parsed import parse_predictions
from radrl.evaluation.answers.sources import Source
from radrl.example import Box, Example, Turn
from radrl.images.sizes import image_resizing
from radrl.manifest.example_set import read_manifests
from radrl.manifest.jsonl import write_manifest
from radrl.models.inputs import IGNORE, Row, prompt_inputs, sft_inputs
from radrl.models.processor import Qwen3VLProcessor
from radrl.prompt.messages import PromptStyle
from radrl.recipe.augmentation import Augment
from radrl.scoring.rewards import load_rewards
from radrl.training import grpo_rows
from radrl.training.checks import pixel_boxes
from radrl.training.sft_rows import SFTRows

PIXELS = PromptStyle(box_format="pixel")
HEART = Box(xyxy=(0.21, 0.43, 0.77, 0.83), label="heart")
NODULE = Box(xyxy=(0.6, 0.11, 0.68, 0.19), label="nodule")
# both larger and smaller than what the processors below let through, and of no shape of theirs
SIZES = {"large": (2021, 3000), "small": (301, 207)}
# patch, merge, least and most pixels: Qwen2.5-VL's with RadVLM's bound, Qwen3-VL's, the tiny model's own
KINDS = [(14, 2, 200_704, 451_584), (16, 2, 65_536, 16_777_216), None]


def of(name: str) -> list[Example]:
    film = {"images": (f"{name}.png",), "patient": name}
    turn = Turn(question="Where is the nodule?", boxes=(NODULE,))
    return [
        Example(id=f"{name}/1", task="grounding", question="Where is all?", boxes=(HEART, NODULE), **film),
        Example(id=f"{name}/2", task="grounding", question="Any fracture?", thinking="Ribs are whole.", **film),
        Example(
            id=f"{name}/3", task="vqa_closed", question="Is it calcified?", choices=("yes", "no"), reference="no",
            thinking="It is faint.", history=(turn,), **film,
        ),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two films of other shapes than the phantom's: a manifest of each, with the ids LARGE/1 and so on."""
    folder = tmp_path_factory.mktemp("films")
    for name, size in SIZES.items():
        Image.radial_gradient("L").resize(size).save(folder / f"{name}.png")
        write_manifest(folder / f"{name}.jsonl", of(name))
    return folder


@pytest.fixture(scope="module")
def films(folder):
    return read_manifests([folder / "large.jsonl", folder / "small.jsonl"])


def qwen(patch: int, merge: int, least: int, most: int) -> Qwen2VLImageProcessorPil:
    size = {"shortest_edge": least, "longest_edge": most}
    return Qwen2VLImageProcessorPil(patch_size=patch, merge_size=merge, size=size)


def seen(image_processor, picture) -> tuple[int, int]:
    """Width and height that Qwen's own image processor makes of a picture."""
    _, height, width = image_processor([picture], return_tensors="np")["image_grid_thw"][0]
    return int(width) * image_processor.patch_size, int(height) * image_processor.patch_size


def told(text: str, size) -> list[Box]:
    """The boxes of a JSON list in pixels, read here and not by what is tested."""
    objects = json.loads(text.removeprefix("```json").removesuffix("```"))
    assert all(isinstance(v, int) for item in objects for v in item["bbox_2d"])
    shares = [[v / size[k % 2] for k, v in enumerate(item["bbox_2d"])] for item in objects]
    return [Box(xyxy=tuple(xyxy), label=item["label"]) for xyxy, item in zip(shares, objects, strict=True)]


def near(found, wanted, size) -> bool:
    """Whether boxes are the same to half a pixel."""
    one, other = ([v * size[k % 2] for box in boxes for k, v in enumerate(box.xyxy)] for boxes in (found, wanted))
    labels = [box.label for box in found] == [box.label for box in wanted]
    return labels and all(abs(a - b) <= 0.5 + 1e-9 for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", KINDS, ids=["qwen2.5", "qwen3", "tiny"])
def test_targets_and_earlier_answers_are_in_the_processors_pixels(tiny, films, kind):
    _, processor = tiny
    if kind:
        processor = Qwen3VLProcessor(qwen(*kind), processor.tokenizer, processor.chat_template)
    for i, example in enumerate(films):
        pictures = films.pictures(i)
        size = seen(processor.image_processor, pictures[0])
        assert size != pictures[0].size
        made = sft_inputs(processor, [Row(pictures, [(example, PIXELS)])])
        labels, ids = made["labels"][0], made["input_ids"][0]
        taught = processor.tokenizer.decode(labels[labels != IGNORE]).removesuffix("<|im_end|>")
        prompt = processor.tokenizer.decode(ids[labels == IGNORE])
        asked = prompt_inputs(processor, [example], [pictures], PIXELS)["input_ids"][0]
        assert processor.tokenizer.decode(asked) == prompt
        if example.history:
            earlier = prompt.split("assistant\n")[1].split("<|im_end|>")[0]
            assert near(told(earlier, size), [NODULE], size)
        elif not example.boxes:
            assert taught == "none"
        else:
            assert near(told(taught, size), example.boxes, size)
            read = parse(taught, example, PIXELS, size=size)
            assert read.well_formed
            if kind:  # the tiny model's pixels are coarse
                assert iou(array(read.boxes), array(example.boxes))[0, 0] >= 0.99


def test_a_mirrored_film_is_taught_mirrored_pixels(tiny, films):
    _, processor = tiny
    rows = SFTRows(films, PIXELS, questions=3, augmentation=Augment(flip=1.0), thinking_share=0, seed=0)
    row = rows({"index": [0]})["row"][0]
    size = seen(processor.image_processor, row.pictures[0])
    labels = sft_inputs(processor, [row])["labels"][0]
    taught = processor.tokenizer.decode(labels[labels != IGNORE]).split("<|im_end|>")[0]
    mirrored = [Box(xyxy=(1 - b.xyxy[2], b.xyxy[1], 1 - b.xyxy[0], b.xyxy[3]), label=b.label) for b in (HEART, NODULE)]
    assert near(told(taught, size), mirrored, size)


SETTINGS = "max_steps: 2, per_device_train_batch_size: 2, learning_rate: 1e-3, save_strategy: 'no'"
GRPO = f"grpo={{{SETTINGS}, num_generations: 2, max_completion_length: 4}}"
REWARDS = "rewards={grounding: [{scorer: soft_f1}, {scorer: format}], vqa_closed: [{scorer: vqa_accuracy}]}"


@pytest.fixture
def recipe_of(make_recipe, folder):
    def make(*overrides):
        manifests = (f"data.train=['{folder}/large.jsonl']", f"data.test=['{folder}/small.jsonl']")
        return make_recipe("prompt.box_format=pixel", "model.image_size=192", *manifests, *overrides)

    return make


def test_every_stage_trains_and_its_model_is_judged(recipe_of, folder, films, tmp_path):
    recipe = recipe_of(
        f"sft={{{SETTINGS}}}", f"coldstart.sft={{{SETTINGS}}}", "coldstart.thinking_share=0.5", GRPO, REWARDS,
        f"data.dev=['{folder}/small.jsonl']", "evaluation.max_new_tokens=4",
    )  # fmt: skip
    for run in (train.run_sft, train.run_coldstart, train.run_grpo):
        stage = run(recipe)
        assert stage.done()["steps"] == 2
    audit = json.loads((stage.folder / "audit.json").read_text())
    assert audit["dev"][0]["grounding"] == 0
    found = ask_model(recipe, Source("A", str(stage.model)), films, tmp_path / "out")
    assert len(parse_predictions(found.samples, films, found.header)[0]) == len(films)


def test_the_best_model_is_chosen_by_boxes_in_pixels(recipe_of, folder):
    chosen = "metric_for_best_model: soft_f1, load_best_model_at_end: true, eval_strategy: steps, eval_steps: 1"
    sft = f"sft={{max_steps: 2, per_device_train_batch_size: 2, save_steps: 1, save_strategy: steps, {chosen}}}"
    stage = train.run_sft(recipe_of(sft, f"data.dev=['{folder}/small.jsonl']", "evaluation.max_new_tokens=4"))
    assert [row["eval_soft_f1"] for row in stage.log() if "eval_soft_f1" in row][:1] == [0]


@pytest.mark.parametrize("workers", [0, 1])
def test_rewards_read_completions_in_the_pixels_of_their_own_film(recipe_of, films, workers):
    processor = qwen(*KINDS[0])
    rows = grpo_rows.GRPORows(films, PIXELS, image_resizing(processor))({"index": [0, 3]})
    sizes = [seen(processor, pictures[0]) for pictures in rows["images"]]
    assert sizes[0] != sizes[1]
    said = [
        json.dumps([{"bbox_2d": [round(v * size[k % 2]) for k, v in enumerate(HEART.xyxy)], "label": "heart"}])
        for size in sizes
    ]
    soft_f1 = load_rewards(recipe_of(REWARDS, f"scoring.workers={workers}"))[0]
    right = soft_f1(said, example=rows["example"], size=rows["size"])
    alone = [soft_f1([text], example=[e], size=[s])[0] for text, e, s in zip(said, rows["example"], sizes, strict=True)]
    other = soft_f1(said, example=rows["example"], size=sizes[::-1])
    assert right == alone
    assert all(value > 0.6 for value in right)  # one box of two, nearly exactly: 2/3 less the rounding
    assert all(a > b + 0.05 for a, b in zip(right, other, strict=True))


def test_an_endpoint_is_asked_with_earlier_boxes_in_pixels_of_the_picture_it_is_sent(recipe_of, films, tmp_path):
    with serve(lambda body: "no", whole=True) as server:
        recipe = recipe_of(f"evaluation.endpoints.api={{url: '{server.url}', model: big}}")
        ask_model(recipe, Source("API", "endpoint:api"), films.take([2]), tmp_path / "out")
    size = seen(pixel_boxes.image_processor(recipe), films.pictures(2)[0])
    earlier = server.bodies[0]["messages"][1]["content"][0]["text"]
    assert near(told(earlier, size), [NODULE], size)


def test_a_teacher_ends_in_the_pixels_that_the_student_is_taught(recipe_of, films):
    given = []

    def answer(body):
        reference = re.search(r"```json.*?```", body["messages"][-1]["content"][-1]["text"], re.S)[0]
        given.append((reference, body["messages"][-1]["content"][0]["image_url"]["url"]))
        return f"<think>It is seen.</think>{reference}"

    with serve(answer, whole=True) as server:
        teacher = f"coldstart.teacher={{url: '{server.url}', model: big}}"
        recipe = recipe_of(teacher, f"coldstart.sft={{{SETTINGS}}}", "coldstart.thinking_share=1")
        stage = train.run_coldstart(recipe)
    assert not (stage.folder / "given_up_traces.jsonl").exists()
    size = seen(pixel_boxes.image_processor(recipe), films.pictures(0)[0])
    ((reference, picture),) = given
    assert near(told(reference, size), [HEART, NODULE], size)
    assert Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).size == size  # what they are pixels of


def test_pixels_of_nothing_are_refused_before_a_model_is_loaded(recipe_of, folder, monkeypatch, refusal):
    bare = of("large")[0].model_copy(update={"images": (), "id": "bare"})
    write_manifest(folder / "bare.jsonl", [*of("large"), bare])
    monkeypatch.setattr(train, "tiny_model", lambda *_, **__: pytest.fail("a model was loaded"))
    recipe = recipe_of(f"data.train=['{folder}/bare.jsonl']", GRPO, REWARDS)
    for run in (train.run_sft, train.run_coldstart, train.run_grpo):
        assert "Example 'bare' has no image whose pixels boxes could be in" in refusal(run, recipe)
    monkeypatch.setattr(pixel_boxes, "image_processor", lambda _: CLIPImageProcessorPil())
    assert "tiny has CLIPImageProcessorPil; train in 'unit'" in refusal(train.run_sft, recipe_of("out=other"))
    assert not recipe.path("other").exists()


def test_rewards_without_the_size_name_the_column(recipe_of, refusal):
    soft_f1 = load_rewards(recipe_of(REWARDS))[0]
    assert "need the data set's column 'size'" in refusal(soft_f1, ["none"], example=[of("large")[0]])
    assert soft_f1(["no"], example=[of("large")[2]]) == [None]  # no boxes are asked for
