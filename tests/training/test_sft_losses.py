"""SFT's losses against a plain script: NLL, DFT and label smoothing, in rows alone and shared; conversations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from radrl.commands import train
from radrl.example import Example, Turn
from radrl.manifest.jsonl import write_manifest
from radrl.prompt.messages import PromptStyle, messages, target
from radrl.training.checks import run_checks

ONE_STEP = "max_steps: 1, per_device_train_batch_size: 12, save_strategy: 'no'"


def plain_loss(model, processor, conversations, kind="nll", smoothing=0.0):
    """The mean over the tokens of all assistant turns of ``(texts by turn, pictures)``, one conversation at a time."""
    tokenizer, losses = processor.tokenizer, []
    for texts, pictures in conversations:
        whole, taught = "", []
        for i, text in enumerate(texts):
            if i % 2 == 0:
                images = "<|vision_start|><|image_pad|><|vision_end|>" * len(pictures) if i == 0 else ""
                whole += f"<|im_start|>user\n{images}{text}<|im_end|>\n<|im_start|>assistant\n"
            else:
                answer = text + "<|im_end|>"
                begin = len(processor(text=[whole], images=pictures)["input_ids"][0])
                taught += range(begin, begin + len(tokenizer(answer)["input_ids"]))
                whole += answer + "\n"
        inputs = processor(text=[whole], images=pictures, return_tensors="pt")
        with torch.no_grad():
            logp = model(**inputs).logits[0].log_softmax(-1)
        for place in taught:
            row = logp[place - 1]
            chosen = row[inputs["input_ids"][0, place]]
            loss = -chosen * chosen.exp() if kind == "dft" else -chosen
            losses.append((1 - smoothing) * loss - smoothing * row.mean())
    return float(torch.stack(losses).mean())


def first_loss(recipe, examples):
    """The loss of the first step, and the model it was taken of."""
    model, processor = train.start_model(run_checks.Run(recipe, "sft", recipe.path("run"), examples))
    stage = train.run_sft(recipe)
    return next(row["loss"] for row in stage.log() if "loss" in row), model.eval(), processor


@pytest.mark.parametrize("questions", [1, 3])
@pytest.mark.parametrize(
    ("setting", "loss"),
    [
        ("loss_type: nll", {}),
        ("loss_type: dft", {"kind": "dft"}),
        ("label_smoothing_factor: 0.5", {"smoothing": 0.5}),
    ],
)
def test_every_loss_is_what_a_plain_script_gives(make_recipe, setting, loss, questions):
    recipe = make_recipe("data.limit=12", f"data.questions_per_row={questions}", f"sft={{{ONE_STEP}, {setting}}}")
    examples = train.load_examples(recipe)
    seen, model, processor = first_loss(recipe, examples)
    texts = [
        ([messages(e, PromptStyle())[0]["content"][-1]["text"], target(e, PromptStyle())], examples.pictures(i))
        for i, e in enumerate(examples)
    ]
    assert seen == pytest.approx(plain_loss(model, processor, texts, **loss), rel=1e-5)
    if loss:
        assert seen != pytest.approx(plain_loss(model, processor, texts), rel=1e-3)


@pytest.mark.parametrize("questions", [1, 3])
def test_a_conversation_teaches_each_assistant_turn_once(make_recipe, tmp_path, questions):
    """Assistant-only loss: an Example a turn, each with the turns before it, is the whole conversation's loss."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    turns = [("What does the film show?", "An effusion."), ("Where is it?", "On the right."), ("Is it large?", "No.")]
    talk = [
        Example(
            id=f"c/{k}", task="vqa_open", question=asked, reference=answer, images=("a.png",),
            history=tuple(Turn(question=q, answer=a) for q, a in turns[:k]),
        )
        for k, (asked, answer) in enumerate(turns)
    ]  # fmt: skip
    write_manifest(tmp_path / "talk.jsonl", talk)
    recipe = make_recipe("data.train=[talk.jsonl]", f"data.questions_per_row={questions}", f"sft={{{ONE_STEP}}}")
    examples = train.load_examples(recipe)
    seen, model, processor = first_loss(recipe, examples)
    whole = [([text for turn in turns for text in turn], examples.pictures(0))]
    assert seen == pytest.approx(plain_loss(model, processor, whole), rel=1e-5)


@pytest.mark.parametrize(
    "setting",
    [
        "data_seed: 7",
        "train_sampling_strategy: sequential",
        "neftune_noise_alpha: 5",
        "eos_token: <|endoftext|>",
        "max_grad_norm: 0.01",
        "optim: sgd",
        "disable_tqdm: true",
    ],
)
def test_an_option_that_is_said_to_be_applied_is(make_recipe, setting):
    plain = "max_steps: 2, per_device_train_batch_size: 2, learning_rate: 1e-3, save_strategy: 'no'"
    found = []
    for name, settings in (("plain", plain), ("changed", f"{plain}, {setting}")):
        stage = train.run_sft(make_recipe("data.limit=8", f"sft={{{settings}}}"), name)
        found.append(load_file(stage.model / "model.safetensors"))
    same = all(torch.equal(weight, found[1][key]) for key, weight in found[0].items())
    assert same == (setting == "disable_tqdm: true")
