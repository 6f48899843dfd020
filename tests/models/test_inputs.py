"""What the model sees: labels on the answer alone, padding without effect, and the prompts that TRL makes in GRPO."""

from __future__ import annotations

import pytest
import torch
from trl.data_utils import prepare_multimodal_messages

from radrl.models.inputs import IGNORE, PREFIX, Row, branch_attention, prompt_inputs, sft_inputs
from radrl.prompt.messages import PromptStyle, question, target
from radrl.training import grpo

STYLES = [PromptStyle(box_format, thinking) for box_format in ("unit", "thousand") for thinking in (False, True)]


@pytest.fixture
def asked(examples):
    """Two films' Examples of every task, and their pictures."""
    chosen = [i for i, e in enumerate(examples) if e.patient in ("train-00000", "train-00003")]
    assert {examples[i].task for i in chosen} == {"report", "grounding", "vqa_closed", "vqa_open"}
    return [examples[i] for i in chosen], [examples.pictures(i) for i in chosen]


def singles(asked, style=STYLES[0]):
    """A row for each Example."""
    return [Row(pictures, [(example, style)]) for example, pictures in zip(*asked, strict=True)]


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_labels_are_the_target_and_the_end(tiny, asked, style):
    _, processor = tiny
    inputs = sft_inputs(processor, singles(asked, style))
    prompts = prompt_inputs(processor, *asked, style)
    decode = processor.tokenizer.decode
    for row, example in enumerate(asked[0]):
        ids, labels = inputs["input_ids"][row], inputs["labels"][row]
        trained = labels != IGNORE
        assert torch.equal(ids[trained], labels[trained])
        assert decode(labels[trained]) == target(example, style) + "<|im_end|>"
        first, last = trained.nonzero()[[0, -1], 0].tolist()
        # before it stands what generation sees, after it nothing
        assert torch.equal(ids[:first], prompts["input_ids"][row][prompts["attention_mask"][row].bool()])
        assert inputs["attention_mask"][row].tolist() == [1] * (last + 1) + [0] * (len(ids) - last - 1)
    for key in ("pixel_values", "image_grid_thw"):
        assert torch.equal(inputs[key], prompts[key])


@torch.inference_mode()
def test_padding_changes_no_logit(tiny, asked):
    model, processor = tiny
    left, right = prompt_inputs(processor, *asked, STYLES[0]), sft_inputs(processor, singles(asked))
    right.pop("labels")
    on_left, on_right = model(**left).logits, model(**right).logits
    lengths = left["attention_mask"].sum(1).tolist()
    assert len(set(lengths)) > 2
    for row, length in enumerate(lengths):
        alone = prompt_inputs(processor, [asked[0][row]], [asked[1][row]], STYLES[0])
        wanted = model(**alone).logits[0]
        torch.testing.assert_close(on_left[row, -length:], wanted, atol=1e-4, rtol=0)
        torch.testing.assert_close(on_right[row, :length], wanted, atol=1e-4, rtol=0)


def test_several_questions_in_a_row_train_as_rows_of_their_own(tiny, asked):
    model, processor = tiny
    alone = singles(asked)
    by_film = {}
    for row in alone:
        by_film.setdefault(id(row.pictures[0]), Row(row.pictures, [])).questions.extend(row.questions)
    together = [*by_film.values()]
    together[0].questions.pop()  # rows of different lengths, so one is padded
    alone = [Row(row.pictures, [question]) for row in together for question in row.questions]
    assert len(together) == 2

    def trained(rows):
        inputs = sft_inputs(processor, rows)
        assert ("segments" in inputs) == (rows is together)
        inputs = branch_attention(model, inputs)
        labels = inputs.pop("labels")[:, 1:]
        logits = model(**inputs, use_cache=False).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(logits[labels != IGNORE], labels[labels != IGNORE], reduction="none")
        model.zero_grad()
        losses.sum().backward()
        return losses, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    losses, gradients = trained(together)
    wanted, wanted_gradients = trained(alone)
    torch.testing.assert_close(losses, wanted, atol=1e-4, rtol=0)
    assert gradients.keys() == wanted_gradients.keys()
    for name, gradient in gradients.items():
        scale = float(wanted_gradients[name].abs().max())
        torch.testing.assert_close(gradient, wanted_gradients[name], atol=1e-3 * scale + 1e-5, rtol=0)
    segments = sft_inputs(processor, together)["segments"]
    assert (segments[0] == PREFIX).sum() < segments.shape[1] / 2  # the prefix stands there once


@pytest.mark.parametrize("thinking", [False, True])
def test_trl_makes_the_same_prompts(tiny, examples, make_recipe, thinking, monkeypatch):
    model, processor = tiny
    built = []
    monkeypatch.setattr(grpo, "train_and_save", lambda trainer, *_: built.append(trainer) or {})
    recipe = make_recipe(
        f"prompt.thinking={str(thinking).lower()}",
        "rewards={"
        + ", ".join(f"{t}: [{{scorer: format}}]" for t in ("report", "grounding", "vqa_closed", "vqa_open"))
        + "}",
        "grpo={max_steps: 1, per_device_train_batch_size: 4, num_generations: 2}",
    )
    grpo.train_grpo(recipe, model, processor, examples, grpo.Stage(recipe.path("run"), "GRPO"))
    (trainer,) = built
    rows = [trainer.train_dataset[i] for i in range(12)]
    fetched = trainer.train_dataset[[5, 1]]  # the columns of a batch stay together
    assert [e.id for e in fetched["example"]] == [examples[5].id, examples[1].id]
    assert [p[0]["content"][-1]["text"] for p in fetched["prompt"]] == [
        question(e, PromptStyle(thinking=thinking)) for e in fetched["example"]
    ]
    prompts = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in rows]
    ids, images, fields = trainer.tokenize_prompts(prompts)

    style = PromptStyle(recipe.prompt.box_format, thinking)
    ours = prompt_inputs(processor, [row["example"] for row in rows], [row["images"] for row in rows], style)
    mask = ours["attention_mask"].bool()
    assert ids == [ours["input_ids"][row][mask[row]].tolist() for row in range(len(rows))]
    assert not fields  # the pictures are kept aside, once each
    pictures = [picture for row in trainer.rollout.pictures for picture in row]
    assert torch.equal(torch.cat([picture.pixels for picture in pictures]), ours["pixel_values"])
    assert torch.equal(torch.tensor([picture.grid for picture in pictures]), ours["image_grid_thw"])
    assert pictures[0] is pictures[1]
    assert images is None
    assert [row[0] for row in trainer.rollout.images] == [row["images"][0] for row in rows]
    assert rows[0]["images"][0] is rows[1]["images"][0]  # Examples of one film share its picture
