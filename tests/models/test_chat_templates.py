"""Prompts through chat templates that nobody here wrote: TRL's copies of published ones, and what their models open."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import trl
from PIL import Image
from trl.data_utils import prepare_multimodal_messages

from radrl.answers.parsing import parse
from radrl.commands import train
from radrl.evaluation.answers import endpoint_backend
from radrl.evaluation.answers.decoding import Decoding
from radrl.example import Example, Turn
from radrl.models import loading
from radrl.models.inputs import IGNORE, Row, prompt_inputs, prompt_text, sft_inputs, template_kwargs
from radrl.prompt.messages import PromptStyle, target
from radrl.recipe.endpoints import Endpoint
from radrl.training import grpo

FILM = Example(
    id="r", task="report", question="Report?", images=("a.png",), reference="Clear.", thinking="I look.",
    history=(Turn(question="Is it new?", answer="No."),),
)  # fmt: skip
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
THINKING = PromptStyle(thinking=True, think_in_template=True)
TASKS = ("report", "grounding", "vqa_closed", "vqa_open")


def published(name):
    return (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


# Qwen3-VL-Thinking's opens <think> whatever it is told (QwenLM/Qwen3-VL, issue 1750)
ALWAYS = published("qwen3_vl").replace("{%- if add_generation_prompt %}", "{%- if add_generation_prompt and false %}")
ALWAYS += "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"


def chat(*turns):
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns) + "<|im_start|>assistant\n"


def test_system_separator_and_history(tiny):
    processor = tiny[1]
    told = PromptStyle(system="You read films.", image_separator="\n", template="As a radiologist: {question}")
    said = (("user", f"{IMAGE}\nIs it new?"), ("assistant", "No."), ("user", "As a radiologist: Report?"))
    for name, default in (("qwen3_vl", ()), ("qwen2_5_vl", (("system", "You are a helpful assistant."),))):
        processor.chat_template = published(name)
        assert prompt_text(processor, FILM, told) == chat(("system", "You read films."), *said)
        assert prompt_text(processor, FILM, replace(told, system="")) == chat(*default, *said)


@pytest.mark.parametrize("template", ["qwen3_5_think", "qwen3_5_nothink"])  # they differ where nothing is said
def test_the_chat_template_opens_and_closes_thinking(tiny, template):
    processor, single = tiny[1], FILM.model_copy(update={"history": ()})
    processor.chat_template = published(template)
    said = chat(("user", f"{IMAGE}Report?"))  # and no suffix
    assert prompt_text(processor, single, THINKING) == said + "<think>\n"
    assert prompt_text(processor, single, replace(THINKING, thinking=False)) == said + "<think>\n\n</think>\n\n"


@pytest.mark.parametrize("template", ["qwen3_5_think", "qwen3_vl", ALWAYS], ids=["switched", "suffix", "always"])
def test_thinking_is_taught_with_one_opening_tag(tiny, template):
    _, processor = tiny
    processor.chat_template = template if template == ALWAYS else published(template)
    style = PromptStyle(thinking=True, think_in_template="qwen3_vl" not in str(template)[:8])
    single = FILM.model_copy(update={"history": ()})
    inputs = sft_inputs(processor, [Row([Image.new("L", (64, 64))], [(single, style)])])
    text = processor.tokenizer.decode(inputs["input_ids"][0])
    assert text.endswith("<|im_start|>assistant\n<think>\nI look.\n</think>\n\nClear.<|im_end|>")
    assert text.count("<think>") == 1
    taught = processor.tokenizer.decode(inputs["labels"][0][inputs["labels"][0] != IGNORE])
    assert taught == target(single, style).removeprefix("" if template == "qwen3_vl" else "<think>\n") + "<|im_end|>"


def test_a_template_that_does_otherwise_is_named(tiny, refusal):
    _, processor = tiny
    processor.chat_template = ALWAYS
    for style in (PromptStyle(), replace(THINKING, thinking=False)):
        assert "opens <think> for a direct answer too; ask the model" in refusal(prompt_text, processor, FILM, style)
    processor.chat_template = published("qwen3_vl")
    assert "knows no thinking" in refusal(prompt_text, processor, FILM, THINKING)
    processor.chat_template = published("gemma")  # for text, and without a system message
    assert "does not take the user message" in refusal(prompt_text, processor, FILM, PromptStyle())
    assert "System role not supported" in refusal(prompt_text, processor, FILM, PromptStyle(system="Be brief."))
    processor.chat_template = published("gemma3")  # trims every text
    assert "drops 'prompt.image_separator'" in refusal(prompt_text, processor, FILM, PromptStyle(image_separator="\n"))


@pytest.mark.parametrize("template", ["qwen3_5_think", ALWAYS], ids=["switched", "always"])
def test_a_completion_that_goes_on_from_an_opened_thinking_keeps_the_form(tiny, refusal, template):
    """Qwen3-VL-Thinking's: without ``think_in_template`` no completion would be well formed, and none a reward."""
    processor = tiny[1]
    processor.chat_template = template if template == ALWAYS else published(template)
    said = refusal(prompt_text, processor, FILM, PromptStyle(thinking=True))
    assert said == "the model's chat template opens <think> itself; set 'prompt.think_in_template: true'"
    prompt = prompt_text(processor, FILM, THINKING)
    assert prompt.endswith("<think>\n")
    assert parse("I look.\n</think>\n\nClear.", FILM, THINKING).well_formed
    taught = target(FILM, THINKING).removeprefix("<think>\n")
    assert parse(taught, FILM, THINKING) == parse(target(FILM, THINKING), FILM, PromptStyle(thinking=True))
    mend = "set 'prompt.think_in_template: true'" if template != ALWAYS else "ask the model to think"
    assert f"opens <think> for a direct answer too; {mend}" in refusal(prompt_text, processor, FILM, PromptStyle())


def test_another_mark_of_thinking_is_not_mixed_with_ours(tiny, refusal):
    processor = tiny[1]
    processor.chat_template = ALWAYS.replace("<think>", "◁think▷")
    assert "opens ◁think▷ itself" in refusal(prompt_text, processor, FILM, PromptStyle(thinking=True))
    row = Row([Image.new("L", (64, 64))], [(FILM, THINKING)])
    assert "opens ◁think▷, but <think> is taught" in refusal(sft_inputs, processor, [row])
    assert parse("I look.◁/think▷Clear.", FILM, THINKING).well_formed  # judged it may be


@pytest.fixture
def folder(tmp_path, tiny_folder, monkeypatch):
    """A copy of the tiny model's folder whose weights are not to be loaded."""
    monkeypatch.setattr(loading, "load", lambda *_, **__: pytest.fail("the weights were loaded"))
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


STAGES = {
    "run_sft": (),
    "run_coldstart": (),
    "run_grpo": ("rewards={report: [{scorer: format}]}", "data.tasks=[report]"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_model_without_a_fitting_chat_template_is_named_before_its_weights_are_loaded(
    folder, make_recipe, refusal, stage
):
    recipe = make_recipe(*STAGES[stage], f"model={{start: {folder}}}")
    demands = "{% if messages[0].role != 'system' %}{{ raise_exception('No system message!') }}{% endif %}"
    (folder / "chat_template.jinja").write_text(demands + published("qwen3_vl"))
    said = refusal(getattr(train, stage), recipe)
    assert said == "the model's chat template demands a system message (No system message!); set 'prompt.system'"
    (folder / "chat_template.jinja").unlink()
    again = make_recipe(*STAGES[stage], f"model={{start: {folder}}}", "out=again")
    assert f"{folder} has no chat template" in refusal(getattr(train, stage), again)


def test_a_cold_start_that_cannot_ask_directly_says_so_at_the_start(folder, make_recipe, refusal):
    (folder / "chat_template.jinja").write_text(ALWAYS)
    recipe = make_recipe(f"model={{start: {folder}}}", "prompt.think_in_template=true", "coldstart.thinking_share=0.5")
    assert "'coldstart.thinking_share: 1'" in refusal(train.run_coldstart, recipe)


def test_templates_are_taken_in_transformers_order(folder):
    def template():
        return loading.load_processor(str(folder)).chat_template

    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": "tokenizer's"}))
    assert template() not in ("tokenizer's", None)
    (folder / "chat_template.jinja").unlink()
    assert template() == "tokenizer's"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "processor's"}))  # as Qwen's have it
    assert template() == "processor's"


def test_grpo_asks_by_the_recipe_s_style(tiny, examples, make_recipe, monkeypatch):
    model, processor = tiny
    processor.chat_template = published("qwen3_5_think")
    built = []
    monkeypatch.setattr(grpo, "train_and_save", lambda trainer, *_: built.append(trainer) or {})
    recipe = make_recipe(
        "prompt={system: You read films., template: 'Look. {question}{options}', think_in_template: true}",
        "rewards={" + ", ".join(f"{task}: [{{scorer: format}}]" for task in TASKS) + "}",
        "grpo={max_steps: 1, per_device_train_batch_size: 4, num_generations: 2}",
        "grpo.chat_template_kwargs={add_vision_id: false}",
    )
    grpo.train_grpo(recipe, model, processor, examples, grpo.Stage(recipe.path("run"), "GRPO"))
    (trainer,) = built
    assert trainer.chat_template_kwargs == {"add_vision_id": False, "enable_thinking": False}
    rows = [trainer.train_dataset[i] for i in range(6)]
    prompts = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in rows]
    ids, *_ = trainer.tokenize_prompts(prompts)
    ours = prompt_inputs(processor, [r["example"] for r in rows], [r["images"] for r in rows], recipe.style())
    assert ids == [i[m.bool()].tolist() for i, m in zip(ours["input_ids"], ours["attention_mask"], strict=True)]
    text = processor.tokenizer.decode(ids[0])
    assert text.startswith("<|im_start|>system\nYou read films.<|im_end|>\n<|im_start|>user\n<|vision_start|>")
    assert text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert "Look. " in text


def test_arguments_that_a_template_does_not_ask_for_are_not_handed_over(tiny):
    _, processor = tiny
    assert template_kwargs(processor, THINKING) == {}  # the processor would take them for its own
    processor.chat_template = published("qwen3_5_think")
    assert template_kwargs(processor, THINKING) == {"enable_thinking": True}
    assert template_kwargs(processor, PromptStyle(thinking=True)) == {}


def test_a_server_gets_the_same_messages(tiny, examples):
    from openai_server import serve

    told = replace(THINKING, system="You read films.", image_separator="\n")
    with serve(lambda said, nth: "fine") as server:
        endpoint = Endpoint(url=server.url, model="big")
        said = []
        arguments = (endpoint, tiny[1].image_processor, examples, told, Decoding(0.0, 9), [(0, 0)], said.extend)
        endpoint_backend.generate(*arguments)
    (body,) = server.bodies
    assert body["chat_template_kwargs"] == {"enable_thinking": True}
    assert [turn["role"] for turn in body["messages"]] == ["system", "user"]
    assert [part["type"] for part in body["messages"][1]["content"]] == ["image_url", "text"]
    assert body["messages"][1]["content"][1]["text"] == "\n" + examples[0].question
    assert len(said) == 1


def test_a_cold_start_whose_prompts_tell_no_two_ways_apart_is_refused(make_recipe, refusal):
    recipe = make_recipe("prompt.preset=easyr1", "coldstart.sft={max_steps: 1}")
    assert "with and without thinking the prompt is the same" in refusal(train.run_coldstart, recipe)
    assert recipe.prompt.thinking  # the preset's keys are the section's
