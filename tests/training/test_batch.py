"""What the model sees: labels on the answer alone, padding without effect, and the prompts that TRL makes in GRPO."""

from __future__ import annotations

import pytest
import torch
from trl.data_utils import prepare_multimodal_messages

from radrl.prompt import PromptStyle, target
from radrl.training import grpo
from radrl.training.batch import IGNORE, prompt_inputs, prompt_text, sft_inputs

STYLES = [PromptStyle(box_format, thinking) for box_format in ("unit", "thousand") for thinking in (False, True)]


@pytest.fixture
def rows(examples):
    """Two films' Examples of every task, with their pictures."""
    chosen = [i for i, e in enumerate(examples) if e.patient in ("train-00000", "train-00003")]
    assert {examples[i].task for i in chosen} == {"report", "grounding", "vqa_closed", "vqa_open"}
    return [examples[i] for i in chosen], [examples.pictures(i) for i in chosen]


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_labels_are_the_target_and_the_end(tiny, rows, style):
    _, processor = tiny
    asked, pictures = rows
    inputs = sft_inputs(processor, asked, pictures, [style] * len(asked))
    decode = processor.tokenizer.decode
    for row, example in enumerate(asked):
        ids, labels = inputs["input_ids"][row], inputs["labels"][row]
        trained = labels != IGNORE
        assert torch.equal(ids[trained], labels[trained])
        assert decode(labels[trained]) == target(example, style) + "<|im_end|>"
        first = int(trained.nonzero()[0])
        prompt = decode(ids[:first]).replace("<|image_pad|>", "")
        assert prompt == prompt_text(processor, example, style).replace("<|image_pad|>", "")
        assert not trained[:first].any()
        assert not inputs["attention_mask"][row][int(trained.nonzero()[-1]) + 1 :].any()


@torch.inference_mode()
def test_padding_changes_no_logit(tiny, rows):
    model, processor = tiny
    asked, pictures = rows
    left = prompt_inputs(processor, asked, pictures, PromptStyle())
    right = sft_inputs(processor, asked, pictures, [PromptStyle()] * len(asked))
    on_left, on_right = model(**left).logits, model(**right).logits
    lengths = left["attention_mask"].sum(1).tolist()
    assert len(set(lengths)) > 2
    for row, length in enumerate(lengths):
        alone = prompt_inputs(processor, [asked[row]], [pictures[row]], PromptStyle())
        wanted = model(**alone).logits[0]
        torch.testing.assert_close(on_left[row, -length:], wanted, atol=1e-4, rtol=0)
        torch.testing.assert_close(on_right[row, :length], wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("thinking", [False, True])
def test_trl_makes_the_same_prompts(tiny, examples, make_recipe, thinking, monkeypatch):
    model, processor = tiny
    built = []
    monkeypatch.setattr(grpo, "finish", lambda trainer, *_: built.append(trainer) or {})
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
    prompts = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in rows]
    ids, images, fields = trainer._tokenize_prompts(prompts)

    style = PromptStyle(recipe.prompt.box_format, thinking)
    ours = prompt_inputs(processor, [row["example"] for row in rows], [row["images"] for row in rows], style)
    mask = ours["attention_mask"].bool()
    assert ids == [ours["input_ids"][row][mask[row]].tolist() for row in range(len(rows))]
    assert torch.equal(torch.as_tensor(fields["pixel_values"]), ours["pixel_values"])
    assert torch.equal(torch.as_tensor(fields["image_grid_thw"]), ours["image_grid_thw"])
    assert [row[0] for row in images] == [row["images"][0] for row in rows]
    assert rows[0]["images"][0] is rows[1]["images"][0]  # Examples of one film share its picture
