"""``radrl ask``: the answer of an evaluation, what was read from it, the picture, and one line for a mistake."""

from __future__ import annotations

import base64
import io
import shutil

import numpy as np
import pytest
from openai_server import serve
from PIL import Image

from radrl.answers.parsing import parse
from radrl.data.phantom.language import phrases
from radrl.evaluation.answers.ask_model import ask_model
from radrl.evaluation.answers.one_question import question_example
from radrl.evaluation.answers.sources import Source
from radrl.images.files import read_image
from radrl.manifest.example_set import read_manifests
from radrl.output.read_out import AMBER, read_out
from radrl.prompt.messages import PromptStyle

TEMPLATE = "prompt: {template: 'Look well. {question}', box_format: thousand}\n"


@pytest.fixture
def folder(tmp_path, phantom_set, tiny_folder, monkeypatch):
    """A working folder with a film and a stage whose model was trained with a prompt of its own."""
    shutil.copytree(tiny_folder, tmp_path / "run/sft/model")
    (tmp_path / "run/sft/recipe.yaml").write_text(f"out: ..\n{TEMPLATE}evaluation: {{max_new_tokens: 6}}\n")
    shutil.copytree(phantom_set / "images", tmp_path / "images")
    Image.fromarray(np.full((100, 200), 90, np.uint8)).save(tmp_path / "film.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def facts(out: str) -> dict[str, str]:
    """Returns what was printed, by the name of the fact; lines without a name belong to the one before."""
    found: dict[str, str] = {}
    name = ""
    for line in out.splitlines():
        if head := line[:10].strip().removesuffix(":"):
            name = head
            found[name] = line[10:]
        else:
            found[name] += "\n" + line[10:]
    return found


def test_a_trained_model_answers_as_in_its_evaluation(folder, radrl, phantom_set, make_recipe, tiny_folder):
    films = read_manifests([phantom_set / "test.jsonl"])
    index = next(i for i, example in enumerate(films) if example.task == "report")
    recipe = make_recipe("evaluation.max_new_tokens=6", "prompt.template='Look well. {question}'")
    wanted = ask_model(recipe, Source("m", str(tiny_folder)), films.take([index]), folder / "judged")
    question = films[index].question
    code, out, err = radrl("ask", "run/sft/model", films[index].images[0], question)
    assert code == 0, err
    said = facts(out)
    assert said["Answer"] == wanted.samples[0][0].completion
    assert said["Prompt"] == f"{folder}/run/sft/recipe.yaml, by which it was trained; boxes in 0-1000"
    assert said["Decoding"] == "greedy, direct, at most 6 tokens"
    assert said["Task"] == "report: the question asks for a report"
    assert not (folder / "answer.png").exists()  # there is no box
    plain = facts(
        radrl("ask", tiny_folder, films[index].images[0], question, "--set", "evaluation.max_new_tokens=6")[1]
    )
    assert plain["Prompt"].startswith("radrl's plain form")
    assert plain["Answer"] != said["Answer"]
    preset = facts(radrl("ask", tiny_folder, films[index].images[0], question, "--preset", "qwen3_vl")[1])
    assert preset["Prompt"] == "preset qwen3_vl; boxes in 0-1000"


def test_thinking_is_asked_for_as_it_was_trained_and_can_be_told(folder, radrl):
    with (folder / "run/sft/recipe.yaml").open("a") as file:
        file.write("seed: 1\n")
    text = (folder / "run/sft/recipe.yaml").read_text()
    (folder / "run/sft/recipe.yaml").write_text(text.replace("box_format", "thinking: true, box_format"))
    ask = ("ask", "run/sft/model", "film.png", "Where is the heart?")
    assert "thinking" in facts(radrl(*ask)[1])["Decoding"]
    assert "direct" in facts(radrl(*ask, "--no-thinking")[1])["Decoding"]
    assert facts(radrl(*ask, "--temperature", "0.5")[1])["Decoding"].startswith("temperature 0.5, ")


def test_boxes_of_an_endpoint_are_drawn_where_they_are(folder, radrl):
    with serve(lambda *_: "<think>A round shadow.</think>heart [0.25, 0.20, 0.75, 0.60]") as server:
        ask = ("ask", server.url, "film.png", "Where is the heart?")
        code, out, err = radrl(*ask, "--thinking")
        assert code == 0, err
        said = facts(out)
        assert said["Model"] == f"{server.url} m"
        assert "go to this address" in said["Sent out"]
        assert (said["Thinking"], said["Answer"]) == ("A round shadow.", "heart [0.25, 0.20, 0.75, 0.60]")
        assert said["Read"] == (
            "boxes: 1 box\nheart: pixels 50, 20, 150, 60 of 200 x 100; 0-1 0.250, 0.200, 0.750, 0.600"
        )
        assert said["Picture"] == "answer.png"
        picture = np.asarray(Image.open("answer.png"))
        assert picture.shape == (100, 200, 3)
        for row, column in ((20, 100), (60, 100), (40, 50), (40, 150)):
            assert tuple(picture[row, column]) == AMBER
        assert tuple(picture[40, 100]) == tuple(picture[90, 5]) == (90, 90, 90)
        assert facts(radrl(*ask)[1])["Picture"] == "answer-2.png"  # nothing is overwritten unasked
        radrl(*ask, "--out", "answer.png")
        assert server.bodies[0]["temperature"] == 0
        text = server.bodies[0]["messages"][-1]["content"][-1]["text"]
        assert text == "Where is the heart? /think"


def test_dicom_goes_in_as_everywhere(folder, radrl, shared_data):
    pytest.importorskip("pydicom")
    shutil.copy(shared_data / "dicom/rsna_monochrome2.dcm", "film.dcm")
    with serve(lambda *_: "lung [0.1, 0.1, 0.5, 0.5]") as server:
        code, out, err = radrl("ask", server.url, "film.dcm", "film.png", "Where is the lung?", "--out", "a.png")
        assert code == 0, err
        first, second, _ = server.bodies[0]["messages"][-1]["content"]
    wanted = read_image(folder, "film.dcm")
    assert f"of {wanted.width} x {wanted.height}" in out
    assert Image.open("a.png").size == wanted.size
    sent = Image.open(io.BytesIO(base64.b64decode(first["image_url"]["url"].partition(",")[2])))
    assert (
        abs(np.asarray(sent.convert("L").resize((8, 8)), int) - np.asarray(wanted.convert("L").resize((8, 8)))).max()
        < 4
    )
    assert second["type"] == "image_url"


def test_an_endpoint_of_a_recipe_is_asked_by_its_prompt(folder, radrl):
    with serve(lambda *_: "B") as server:
        (folder / "r.yaml").write_text(
            f"out: o\nmodel: {{start: tiny, image_size: 64}}\nprompt: {{preset: easyr1}}\n"
            f"evaluation: {{endpoints: {{api: {{url: '{server.url}', model: big}}}}}}\n"
        )
        ask = ("film.png", "Which finding is seen?", "--choice", "nodule", "--choice", "edema")
        code, out, err = radrl("ask", "endpoint:api", *ask, "--recipe", "r.yaml")
        assert code == 0, err
        assert facts(out)["Prompt"].startswith("r.yaml; ")
        assert server.bodies[0]["model"] == "big"
        radrl("ask", server.url, *ask, "--served", "other", "--preset", "easyr1")
        assert server.bodies[1]["model"] == "other"
        texts = [body["messages"][-1]["content"][-1]["text"] for body in server.bodies]
        assert texts[0] == texts[1] != "Which finding is seen?"
        server.models = ["a", "b"]
        assert "name one with --served" in radrl("ask", server.url, *ask)[2]


def test_no_sign_of_an_answer_steers_the_terminal(folder, radrl):
    with serve(lambda *_: "\x1b[2J\u202eno") as server:
        out = radrl("ask", server.url, "film.png", "What is seen?")[1]
    assert "\x1b" not in out
    assert "\u202e" not in out


QUESTIONS = {
    "report": "Write the report.",
    "grounding": "Where is it?",
    "vqa_closed": "Is it there?",
    "vqa_open": "What?",
}


@pytest.mark.parametrize(
    ("task", "text", "kind", "said"),
    [
        ("grounding", "There is no nodule.", "denied", "there is nothing to box"),
        ("grounding", "On the left.", "unreadable", "no box of the film"),
        ("grounding", "a [0.1, 0.1, 0.4, 0.4], b [0.9, 0.9, 0.1, 0.1]", "boxes", "1 box"),
        ("grounding", "a [0.1, 0.1, 0.4, 0.4] b [0, 0, 1, 1]", "boxes", "2 boxes"),
        ("vqa_closed", "Yes, there is.", "option", "yes"),
        ("vqa_closed", "Maybe.", "unreadable", "none of the options"),
        ("vqa_open", "Left.", "text", "as it stands"),
        ("report", "", "unreadable", "it is empty"),
    ],
)
def test_what_is_read(task, text, kind, said):
    example = question_example(QUESTIONS[task], 1).example
    assert example.task == task
    read = read_out(parse(text, example, PromptStyle(), 5), example, (200, 100), 5)
    assert read.kind == kind
    assert said in read.said
    assert "cut at 5 tokens" in read.notes[0]
    assert any("outside the film" in note for note in read.notes) == ("0.9" in text)


def test_the_task_of_each_wording_of_the_phantom_is_found():
    words = phrases()
    for task, questions in {
        "report": words["report_questions"],
        "grounding": [q for kind in ("anatomy", "lungs", "finding") for q in words["grounding"][kind]],
        "vqa_closed": words["closed"]["presence"] + words["closed"]["abnormality"],
        "vqa_open": [q for of in words["open"].values() for q in of],
    }.items():
        for question in questions:
            question = question.format(name="nodule", article_name="a nodule")
            assert question_example(question, 1).example.task == task, question
    assert question_example("Which finding is seen?", 1, choices=["nodule", "edema"]).example.task == "vqa_closed"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["none", "film.png", "Where?"], ["none", "no such model folder"]),
        (["run/sft", "film.png", "Where?"], ["config.json is missing"]),
        (["film.png", "film.png", "Where?"], ["film.png", "a file cannot be asked"]),
        (["run/sft/model"], ["ask what?"]),
        (["run/sft/model", "film.png"], ["film.png", "no question"]),
        (["run/sft/model", "none.png", "Where?"], ["none.png", "no such film"]),
        (["run/sft/model", "run/sft/recipe.yaml", "Where?"], ["not a readable DICOM"]),
        (["run/sft/model", "film.png", " "], ["question is empty"]),
        (["run/sft/model", "film.png", "Where?", "--task", "grond"], ["did you mean 'grounding'?"]),
        (["run/sft/model", "film.png", "Which?", "--task", "vqa_closed"], ["a --choice each"]),
        (["run/sft/model", "film.png", "Which?", "--choice", "a"], ["at least two options"]),
        (["run/sft/model", "film.png", "Where?", "--task", "report", "--choice", "a"], ["leave one out"]),
        (["run/sft/model", "film.png", "Where?", "--preset", "qwen3_vl"], ["as it was trained", "recipe.yaml"]),
        (["run/sft/model", "film.png", "Where?", "--temperature", "-1"], ["evaluation.temperature"]),
        (["run/sft/model", "film.png", "Where?", "--out", "film.png"], ["that is the film itself"]),
        (["run/sft/model", "film.png", "Where?", "--out", "a.jpg"], ["ends in .png"]),
        (["run/sft/model", "film.png", "Where?", "--served", "m"], ["--served"]),
        (["run/sft/model", "film.png", "Where?", "--serve"], ["on the page"]),
        (["endpoint:api", "film.png", "Where?"], ["add --recipe FILE", "'api'"]),
        (["model", "film.png", "Where?", "--preset", "qwen3vl"], ["no preset 'qwen3vl'", "did you mean 'qwen3_vl'?"]),
        (["model", "film.png", "Where?", "--preset", "radvlm", "--recipe", "r.yaml"], ["give one"]),
        (["http://127.0.0.1:9/v1", "film.png", "Where?"], ["is the server up"]),
        (["http://127.0.0.1:9/v1", "film.png", "Where?", "--preset", "qwen2_5_vl"], ["boxes in pixels", "model.start"]),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_a_mistake_is_one_line(folder, radrl, tiny_folder, arguments, wanted):
    if arguments[0] == "model":
        shutil.copytree(tiny_folder, "model")
    code, _, err = radrl("ask", *arguments)
    (line,) = err.splitlines()
    assert code == 2
    assert line.startswith("radrl: ")
    assert all(part in line for part in wanted), line
    assert not (folder / "answer.png").exists()
