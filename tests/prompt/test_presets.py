"""Published models are asked as they were trained: each prompt is built here as its authors' code builds it."""

from __future__ import annotations

from dataclasses import asdict

import jinja2
import pytest

from radrl.commands.load_recipe import load_recipe
from radrl.evaluation.answers.header import Header, differences, read_header
from radrl.example import Box, Example
from radrl.prompt import presets
from radrl.prompt.messages import PromptStyle, messages, question, target
from radrl.recipe.prompt_section import Prompt

SIDE = Example(
    id="c", task="vqa_closed", question="Which side?", choices=("left", "right"), reference="right", images=("a.png",)
)
BIG = Example(id="y", task="vqa_closed", question="Is it big?", choices=("yes", "no"), reference="no")
WHAT = Example(id="o", task="vqa_open", question="What is it?", reference="A nodule", images=("a.png",))
WHERE = Example(id="g", task="grounding", question="Where is the heart?", boxes=(Box(xyxy=(0, 0, 0.5, 1)),))
REPORT = Example(id="r", task="report", question="Report?", images=("a.png",), reference="Clear.", thinking="I look.")

# raw, as there: the models were trained with a backslash and an n
MEDVLTHINKER = (
    r"You will solve a problem/request. You should provide your thoughts within <think> </think> tags before providing"
    r" the answer.\nWrite your final answer within <answer> </answer> tags."
)
EASYR1 = (
    r"{{ content | trim }} You FIRST think about the reasoning process as an internal monologue and then provide the "
    r"final answer. The reasoning process MUST BE enclosed within <think> </think> tags. The final answer MUST BE put "
    r"in \boxed{}."
)
R1V = (
    "{{ content | trim }} A conversation between User and Assistant. The user asks a question, and the Assistant solves"
    " it. The assistant first thinks about the reasoning process in the mind and then provides the user with the "
    "answer. The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, "
    "respectively, i.e., <think> reasoning process here </think><answer> answer here </answer>"
)
TAGS = (
    " First output the thinking process in <think> </think> tags and then output the final answer in <answer> "
    "</answer> tags."
)


def style(name):
    return Prompt.model_validate(name).over(PromptStyle())


def asked(example, name):
    return question(example, style(name))


def verl(text):
    """The user's message as verl's RLHFDataset makes it of a prompt that holds <image>."""
    before, image, after = text.partition("<image>")
    assert not before
    return [{"role": "user", "content": [{"type": "image"}] * bool(image) + [{"type": "text", "text": after}]}]


def test_radvlm_and_its_thinking():
    radvlm = style("radvlm")
    assert messages(REPORT, radvlm) == verl("<image>\n" + "Report?")
    thinking = Prompt.model_validate({"preset": "radvlm", "thinking": True}).over(PromptStyle())
    assert messages(REPORT, thinking) == verl("<image>\n" + "Report?" + " /think")
    assert target(WHERE, radvlm) == "[0.00, 0.00, 0.50, 1.00]"


def test_medvlthinker():
    for example in (SIDE, BIG):
        options = dict(zip("AB", example.choices, strict=True))
        prompt = f"Question: {example.question}\n\nOptions:"
        for letter, option in options.items():
            prompt += f"\n\n{letter}. {option}"
        assert asked(example, "medvlthinker") == MEDVLTHINKER + "\n\n" + prompt
    known = style("medvlthinker")
    seen = BIG.model_copy(update={"thinking": "Small."})
    assert target(seen, known) == "<think>\nSmall.\n</think>\n\n<answer>B. no</answer>"


@pytest.mark.parametrize(("name", "text"), [("easyr1", EASYR1), ("easyr1_r1v", R1V)])
def test_easyr1(name, text):
    content = "Which side? A. left B. right"
    assert asked(SIDE, name) == jinja2.Template(text.strip()).render(content=content)


def test_vlm_r1():
    assert asked(WHERE, "vlm_r1") == "Where is the heart?" + TAGS + " Output the final answer in JSON format."
    assert asked(WHAT, "vlm_r1") == "What is it?" + TAGS


def test_medevalkit():
    closed = "\nQuestion: Which side?\nOptions: \nA. left\nB. right\n"
    assert asked(SIDE, "medevalkit") == closed + "Answer with the option's letter from the given choices directly."
    assert asked(BIG, "medevalkit") == "Is it big?\nPlease output 'yes' or 'no'(no extra output)."
    assert asked(WHAT, "medevalkit") == "What is it?\nPlease answer the question concisely."
    assert asked(REPORT, "medevalkit").endswith("in the following format: Findings: {} Impression: {}.")
    boxed = r'Answer with the option\'s letter from the given choices and put the letter in one "\boxed{}".'
    assert asked(SIDE, "medevalkit_reasoning") == closed + boxed.replace("\\'", "'")
    assert target(SIDE, style("medevalkit_reasoning")) == r"\boxed{B. right}"


def test_qwen():
    locate = "Locate every instance that belongs to the following categories: 'heart'."
    heart = WHERE.model_copy(update={"question": locate})
    assert asked(heart, "qwen3_vl") == f"{locate} Report bbox coordinates in JSON format."
    assert asked(heart, "qwen2_5_vl") == f"{locate} Please provide the bounding box coordinate in JSON format."
    formats = {name: style(name).box_format for name in ("qwen3_vl", "qwen3_vl_thinking", "qwen2_5_vl", "qwen2_vl")}
    assert [*formats.values()] == ["thousand", "thousand", "pixel", "qwen2"]
    assert style("qwen3_vl_thinking").chat_template_kwargs == {"enable_thinking": True}
    assert asked(REPORT, "qwen3_vl_thinking") == "Report?"


@pytest.mark.parametrize("name", presets.preset_names())
def test_a_preset_names_its_source_and_comes_back_from_a_header(name, tmp_path):
    text = (presets._FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("#")
    assert "Source:" in text
    known = style(name)
    assert isinstance(hash(known), int)
    header = Header(model="m", source="s", backend="file", prompt=asdict(known), decoding={"samples": 1})
    header.save(tmp_path / "h.json")
    again = read_header(tmp_path / "h.json")
    assert (again.style, again.settings, differences(header, again)) == (known, header.settings, [])


def test_keys_beside_a_preset_win_and_nothing_else_shines_through():
    own = PromptStyle(system="Be brief.", box_format="thousand", options="lines")
    assert Prompt.model_validate("radvlm").over(own) == style("radvlm")
    assert Prompt.model_validate({"options": "none"}).over(own) == PromptStyle(
        "thousand", system="Be brief.", options="none"
    )
    mixed = Prompt.model_validate({"preset": "medvlthinker", "thinking": False, "template": "{question}"}).over(own)
    assert (mixed.thinking, mixed.template, mixed.answer_format) == (False, "{question}", "tags")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("prompt: {preset: radvml}", "key 'prompt': no preset 'radvml' (did you mean 'radvlm'?); there are "),
        ("prompt: radvml", "key 'prompt': no preset 'radvml'"),
        ("prompt: {template: 'Look.'}", "key 'prompt.template': has no {question}; put it"),
        ("prompt: {template: '{question} {option}'}", "key 'prompt.template': holds {option}; write {options}"),
        ("prompt: {template: {vqa_open: 'Look.', default: '{question}'}}", "has no {question} for 'vqa_open'"),
        ("prompt: {template: {reports: '{question}'}}", "has a template for 'reports' (did you mean 'report'?)"),
        ("prompt: {template: [1]}", "key 'prompt.template': should be a text, or a section with a text for each task"),
        ("evaluation: {models: {x: {prompt: radvml}}}", "key 'evaluation.models.x.prompt': no preset 'radvml'"),
        ("evaluation: {models: {x: {prompt: {optoins: none}}}}", "unknown key 'evaluation.models.x.prompt.optoins'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path, refusal, given, said):
    file = tmp_path / "r.yaml"
    file.write_text(f"out: run\nmodel: {{start: tiny}}\n{given}\n")
    assert f"{file}: {said}" in refusal(load_recipe, file) or said in refusal(load_recipe, file)


def test_a_report_may_be_asked_for_in_the_template_s_own_words(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text(
        "out: run\nmodel: {start: tiny}\nprompt: {template: {report: 'Findings: {} of this film'}}\n"
        "evaluation: {models: {x: {prompt: radvlm}}}\n"
    )
    recipe = load_recipe(file)
    assert question(REPORT, recipe.style()) == "Findings: {} of this film"
    assert question(WHAT, recipe.style(thinking=True)) == "What is it? /think"
    again = tmp_path / "again.yaml"
    again.write_text(recipe.to_yaml())
    assert (load_recipe(again).style(), load_recipe(again).evaluation) == (recipe.style(), recipe.evaluation)
