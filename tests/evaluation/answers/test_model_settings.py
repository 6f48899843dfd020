"""What is in force for one judged model: the recipe for all, its own options over it."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image
from transformers import GenerationConfig

from radrl.commands.evaluate import run_evaluation
from radrl.evaluation.answers import model_settings
from radrl.evaluation.answers.ask_model import ask_model
from radrl.evaluation.answers.decoding import Decoding
from radrl.evaluation.answers.header import Header
from radrl.evaluation.answers.parsed import parse_predictions
from radrl.evaluation.answers.sources import Source
from radrl.manifest.example_set import read_manifests
from radrl.output.run_facts import decoding_differs, run_facts, settings_notes

FOREIGN = (
    "evaluation.models.B={box_format: thousand, answer: tags, prompt: {system: Be brief., template: 'Q: {question}'}}"
)


def test_a_models_options_stand_over_the_recipes_prompt(make_recipe):
    recipe = make_recipe("prompt.system=You are kind.", "prompt.image_separator='|'", FOREIGN)
    usual, own = model_settings.prompt_style(recipe, "A", False), model_settings.prompt_style(recipe, "B", True)
    assert usual == recipe.style()
    assert (own.box_format, own.answer_format, own.system, own.template) == (
        "thousand",
        "tags",
        "Be brief.",
        "Q: {question}",
    )
    assert own.image_separator == "|"
    assert (own.thinking, model_settings.prompt_style(recipe, "B", False).thinking) == (True, False)
    thinks = make_recipe("evaluation.models.B.prompt={thinking: true}")
    assert model_settings.prompt_style(thinks, "B", False).thinking  # its own prompt says so


def test_options_of_a_model_that_is_not_judged_are_named(make_recipe, tiny_folder, tmp_path, refusal):
    recipe = make_recipe("evaluation.models.RadVML={box_format: thousand}")
    line = refusal(run_evaluation, recipe, {"RadVLM": (str(tiny_folder), False)}, tmp_path / "out")
    assert "key 'evaluation.models.RadVML': no --model has that name (did you mean 'RadVLM'?)" in line
    assert not (tmp_path / "out").exists()


def test_each_model_is_asked_in_its_own_style_and_its_header_says_so(make_recipe, tiny_folder, phantom_set, tmp_path):
    films = read_manifests([phantom_set / "test.jsonl"]).take(range(2))
    recipe = make_recipe(FOREIGN, "evaluation.max_new_tokens=2")
    headers = {}
    for name in "AB":
        headers[name] = ask_model(recipe, Source(name, str(tiny_folder)), films, tmp_path).header
    assert headers["B"].style == model_settings.prompt_style(recipe, "B", False)
    assert headers["A"].style == recipe.style()
    # the same model read as its header says, whatever a later recipe says of others
    again = ask_model(make_recipe(), Source("B", str(tmp_path / "B.jsonl")), films, tmp_path / "compared").header
    assert again.style == headers["B"].style
    notes = settings_notes(headers)
    assert "models were not asked alike: prompt.box_format differs (A unit, B thousand)" in notes
    assert "models were not asked alike: prompt.system differs (A , B Be brief.)" in notes
    assert "box_format" in decoding_differs(headers["A"], headers["B"])


def test_a_long_text_in_which_models_differ_is_not_written_out():
    def header(template):
        return Header("x", "y", "transformers", {"template": template}, Decoding()._asdict())

    notes = settings_notes({"a": header("x" * 500), "b": header("y"), "c": header("x" * 500)})
    assert notes == ["models were not asked alike: prompt.template differs (a, c; b)"]


def test_options_against_the_header_of_a_file_are_refused(make_recipe, tiny_folder, phantom_set, tmp_path, refusal):
    films = read_manifests([phantom_set / "test.jsonl"]).take(range(2))
    ask_model(make_recipe("evaluation.max_new_tokens=2"), Source("A", str(tiny_folder)), films, tmp_path)
    ours = Source("B", str(tmp_path / "A.jsonl"))
    line = refusal(ask_model, make_recipe(FOREIGN), ours, films, tmp_path / "out")
    assert "its header says that its answer_format is 'plain', 'evaluation.models.B' that it is 'tags'" in line
    same = make_recipe("evaluation.models.B={box_format: unit}")
    assert ask_model(same, ours, films, tmp_path / "out").header.style == same.style()


@pytest.mark.parametrize("bounded", [False, True])
def test_boxes_in_pixels_are_of_the_image_as_it_was_resized(make_recipe, tmp_path, bounded):
    Image.new("L", (400, 200)).save(tmp_path / "film.png")
    ground = {"id": "g", "task": "grounding", "question": "Where is the heart?", "images": ["film.png"]}
    ground["boxes"] = [{"xyxy": [0.25, 0.5, 0.5, 1.0], "label": "heart"}]
    (tmp_path / "m.jsonl").write_text(json.dumps(ground) + "\n")
    films = read_manifests([tmp_path / "m.jsonl"])
    width, height = (168, 84) if bounded else (400, 200)
    box = [width // 4, height // 2, width // 2, height]
    said = json.dumps([{"bbox_2d": box, "label": "heart"}])
    (tmp_path / "p.jsonl").write_text(json.dumps({"id": "g", "text": said}) + "\n")
    options = "{box_format: pixel, max_pixels: 16000}" if bounded else "{box_format: pixel}"
    recipe = make_recipe(f"evaluation.models.A={options}")
    found = ask_model(recipe, Source("A", str(tmp_path / "p.jsonl")), films, tmp_path / "out")
    (answer,) = parse_predictions(found.samples, films, found.header)[0]
    assert answer.boxes[0].xyxy == pytest.approx((0.25, 0.5, 0.5, 1.0))
    assert answer.boxes[0].label == "heart"


OWN = GenerationConfig(
    do_sample=True, temperature=0.6, top_p=0.8, top_k=20, repetition_penalty=1.05, min_p=0.1, eos_token_id=[1, 2],
    max_new_tokens=99, stop_strings="END",
)  # fmt: skip


def test_what_the_recipe_leaves_open_is_the_folders_where_it_says_so(make_recipe):
    recipe = make_recipe("evaluation.top_p=1.0", "evaluation.max_new_tokens=50")
    assert model_settings.decoding_settings(recipe, False)[0] == Decoding(max_new_tokens=50)
    decoding, taken = model_settings.decoding_settings(recipe, False, OWN, "M")
    assert decoding == Decoding(
        0.6, 50, top_k=20, repetition_penalty=1.05, stop=("END",), more={"min_p": 0.1}
    )  # its top_p and length are not: the recipe sets them
    assert taken == {
        "temperature": 0.6, "top_k": 20, "repetition_penalty": 1.05, "min_p": 0.1, "stop_strings": "END"
    }  # fmt: skip
    greedy = GenerationConfig(temperature=0.6, top_k=20)  # without do_sample these do nothing
    assert model_settings.decoding_settings(recipe, False, greedy, "M")[0].temperature == 0
    assert model_settings.decoding_settings(recipe, False, GenerationConfig(do_sample=True), "M")[0].temperature == 1


def test_a_setting_of_the_folder_that_nobody_has_is_named(make_recipe, refusal):
    line = refusal(model_settings.decoding_settings, make_recipe(), False, GenerationConfig(num_beams=4), "--model M=m")
    assert line.startswith("--model M=m: its generation_config sets num_beams to 4")
    quiet = GenerationConfig(num_beams=1, renormalize_logits=True, use_cache=False, max_length=2048, chat_format="x")
    assert model_settings.decoding_settings(make_recipe(), False, quiet, "M") == (Decoding(), {})


def test_own_settings_are_read_as_transformers_reads_them(tiny_folder, tmp_path, refusal):
    from radrl.models import loading

    model, processor = loading.load(str(tiny_folder))
    own = loading.own_generation_config(str(tiny_folder))
    assert own.to_diff_dict() == model.generation_config.to_diff_dict()
    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder, copy)
    (copy / "generation_config.json").unlink()
    without = loading.load(str(copy))[0].generation_config
    assert loading.own_generation_config(str(copy)).eos_token_id == without.eos_token_id is not None
    end = processor.tokenizer.eos_token_id
    assert loading.end_tokens(own, processor.tokenizer) == loading.end_tokens(without, processor.tokenizer) == [end]
    assert loading.end_tokens(GenerationConfig(eos_token_id=3), processor.tokenizer) == [3, end]
    (copy / "generation_config.json").write_text("{")
    assert "generation_config.json: cannot be read" in refusal(loading.own_generation_config, str(copy))


def test_boxes_in_another_convention_are_told_above_the_table(make_recipe, phantom_set, tmp_path):
    films = read_manifests([phantom_set / "test.jsonl"])
    said = tmp_path / "theirs.jsonl"
    lines = [{"id": e.id, "text": json.dumps([{"bbox_2d": [100, 200, 300, 400], "label": "x"}])} for e in films]
    said.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run_evaluation(make_recipe(), {"Theirs": (str(said), False)}, tmp_path / "out")
    table = (tmp_path / "out" / "table.md").read_text()
    assert "lie outside 'unit' and fit 'thousand'" in table
    assert "set evaluation.models.Theirs.box_format" in table


def test_samples_need_a_temperature_from_somewhere(make_recipe, refusal):
    recipe = make_recipe("evaluation.samples=4", "evaluation.generation_config=model")
    assert model_settings.decoding_settings(recipe, False, OWN, "M")[0].samples == 4
    assert "need a temperature" in refusal(model_settings.decoding_settings, recipe, False, GenerationConfig(), "M")
    short = make_recipe("evaluation.min_new_tokens=9", "evaluation.max_new_tokens=8")
    assert "at least 9 and at most 8" in refusal(model_settings.decoding_settings, short, False)


def test_the_facts_say_how_a_model_was_decoded():
    told = model_settings.decoding_facts(Decoding(repetition_penalty=1.3, min_new_tokens=2, top_p=0.5, stop=("x",)))
    greedy = Header("M", "m", "vllm", {}, told)
    sampled = Header("S", "s", "vllm", {}, model_settings.decoding_facts(Decoding(0.5, top_p=0.5)))
    facts = run_facts(0, [], {"M": greedy, "S": sampled}, ["look here"])
    assert facts["Decoding"]["M"].startswith("greedy, repetition_penalty 1.3, min_new_tokens 2, stop ['x'], at most")
    assert facts["Decoding"]["S"].startswith("temperature 0.5, 1 samples, top_p 0.5, at most 256 tokens")
    assert facts["Warnings"]["1"] == "look here"
