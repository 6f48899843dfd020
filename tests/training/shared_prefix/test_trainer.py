"""The shared prefix equals TRL's own path: log-probabilities, losses and gradients, in float64."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig
from prefix_models import as_stock, in_float64, make_model, make_rows, make_trainer

from radrl.training.shared_prefix import packing
from radrl.training.shared_prefix.rollout_batch import split_groups
from radrl.training.shared_prefix.trainer import SharedPrefixGRPOTrainer

LORA = {"r": 4, "target_modules": ["q_proj", "k_proj", "v_proj", "up_proj"], "task_type": "CAUSAL_LM"}
LOSSES = ("grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo")


def gradients(trainer, inputs):
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    return loss.detach(), {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}


def logps(trainer, inputs, model):
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    fields = {
        k: inputs[k] for k in ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids") if k in inputs
    }
    with torch.no_grad():
        made = trainer.token_log_probs(
            model, ids, mask, inputs["completion_ids"].shape[1], compute_entropy=True, **fields
        )
    return made[0], made[1]


def compare(trainer, scored=True):
    """Rolls out, then takes every micro-batch through both paths; ``scored``: it has a token to learn from."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps  # as Trainer's loop sets it
    rows = [
        trainer.train_dataset[k // 4]
        for k in range(trainer.args.per_device_train_batch_size * trainer.args.steps_per_generation)
    ]
    trainer._step = 0
    batches = [trainer.prepare_inputs(rows)]
    for step in range(1, trainer.args.steps_per_generation):
        trainer._step = step
        batches.append(trainer.prepare_inputs(rows))
    assert trainer.sharing
    for inputs in batches:
        stock = as_stock(trainer, inputs)
        loss, grads = gradients(trainer, inputs)
        ours = logps(trainer, inputs, trainer.model)
        trainer.sharing = False
        wanted_loss, wanted = gradients(trainer, stock)
        theirs = logps(trainer, stock, trainer.model)
        if "old_per_token_logps" in inputs:  # the policy has not moved since
            torch.testing.assert_close(inputs["old_per_token_logps"], theirs[0], rtol=0, atol=1e-9)
        if "ref_per_token_logps" in inputs:  # a model of its own, or the policy without its adapters
            alone = nullcontext() if trainer.ref_model is not None else trainer.model.disable_adapter()
            with alone:
                reference = logps(trainer, stock, trainer.ref_model or trainer.model)[0]
            torch.testing.assert_close(inputs["ref_per_token_logps"], reference, rtol=0, atol=1e-9)
        trainer.sharing = True
        assert (inputs["completion_mask"].sum() > 0) == scored
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
        torch.testing.assert_close(loss, wanted_loss, rtol=1e-9, atol=1e-12)
        assert grads.keys() == wanted.keys()
        norm = max(float(g.norm()) for g in wanted.values())
        for name, gradient in grads.items():
            assert float((gradient - wanted[name]).norm()) <= 1e-8 * max(float(wanted[name].norm()), 1e-4 * norm), name
    return batches


@pytest.fixture
def build(tmp_path, monkeypatch):
    in_float64(monkeypatch)

    def make(family="qwen3_vl", images=(1, 0, 2, 1), lora=False, lora_targets=LORA["target_modules"], **settings):
        model, processor = make_model(family)
        folder = tmp_path / "start"  # a reference model is loaded from the policy's own folder
        model.double().save_pretrained(folder)
        model = type(model).from_pretrained(folder, dtype=torch.float64)
        peft = LoraConfig(**{**LORA, "target_modules": lora_targets}, init_lora_weights=False) if lora else None
        return make_trainer(tmp_path / "run", model, processor, make_rows(images), peft=peft, **settings)

    return make


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
@pytest.mark.parametrize("images", [(1, 0, 2, 1), (1, 1, 1, 1), (2, 2, 2, 2)], ids=str)
def test_both_families_with_unequal_prompts_and_completions(build, family, images):
    (inputs,) = compare(build(family, images))
    assert len({int(n) for n in inputs["prompt_mask"].sum(1)}) > 1
    assert len({int(n) for n in inputs["completion_mask"].sum(1)}) > 3


def test_text_alone(build):
    # prompts of one length: where they differ TRL shifts positions by the padding, which rounds otherwise (1e-7)
    trainer = build(images=(0, 0, 0, 0))
    rows = [trainer.train_dataset[0]] * 4
    trainer.train_dataset = dict.fromkeys(range(4), rows[0])
    compare(trainer)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_with_a_reference_and_two_iterations(build, loss):
    compare(build(loss_type=loss, beta=0.1, num_iterations=2, temperature=0.7))


@pytest.mark.parametrize("loss", LOSSES)
def test_completions_that_are_all_cut_off_and_masked_teach_nothing(build, loss):
    trainer = build(loss_type=loss, mask_truncated_completions=True, num_iterations=2, max_completion_length=1)
    trainer.eos_token_ids = []  # what one token ends is no end
    (inputs,) = compare(trainer, scored=False)
    loss, grads = gradients(trainer, inputs)
    assert loss == 0
    assert all(not gradient.any() for gradient in grads.values())
    trainer._step = 0
    trainer.train()
    assert [row["loss"] for row in trainer.state.log_history if "loss" in row] == [0.0]


@pytest.mark.parametrize("lora", [False, True])
def test_completions_of_which_some_are_cut_off_and_masked(build, lora):
    trainer = build(mask_truncated_completions=True, beta=0.1, lora=lora)
    (inputs,) = compare(trainer)
    rows = inputs["completion_mask"].any(1)
    assert 0 < rows.sum() < len(rows)


@pytest.mark.parametrize("loss", LOSSES)
def test_completions_of_one_token(build, loss):
    compare(build(loss_type=loss, max_completion_length=1, beta=0.1))


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("lora", [False, True])
def test_adapters_and_gradient_checkpointing(build, lora, checkpointing):
    trainer = build(lora=lora, beta=0.1, num_iterations=2)
    if checkpointing:
        trainer.model.gradient_checkpointing_enable()  # as Trainer.train does
    compare(trainer)
    assert trainer.model.is_gradient_checkpointing == checkpointing


@pytest.mark.parametrize(("size", "steps"), [(8, 2), (6, 4), (2, 8)])
def test_micro_batches_of_whole_groups_and_of_parts(build, size, steps):
    images = (1, 1, 2, 1, 1, 2)[: size * steps // 4]
    compare(build(images=images, per_device_train_batch_size=size, gradient_accumulation_steps=steps))


def test_the_tower_sees_each_image_once_a_forward(build):
    trainer = build(beta=0.1, num_iterations=2)  # the first picture of prompt 3 is prompt 0's
    towers = [model.model.visual for model in (trainer.model, trainer.ref_model)]
    seen = []
    for tower in towers:
        tower.register_forward_pre_hook(lambda _, args, kwargs: seen.append(len(kwargs["grid_thw"])), with_kwargs=True)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    trainer.checked = True  # the check goes TRL's way too
    inputs = trainer.prepare_inputs([trainer.train_dataset[k // 4] for k in range(16)])
    assert "old_per_token_logps" in inputs
    assert seen == [3, 3]  # the prefill, whose features the old policy reads again, and the reference
    trainer.compute_loss(trainer.model, inputs)
    assert seen == [3, 3, 3]
    held = {id(picture) for row in inputs["pixel_values"] for picture in row}
    assert len(held) == 3  # and no row has a copy


def test_features_of_a_tower_with_adapters_are_not_kept_for_the_reference(build):
    trainer = build(lora=True, beta=0.1, num_iterations=2, lora_targets=["qkv", "q_proj"])
    seen = []
    trainer.model.get_base_model().model.visual.register_forward_pre_hook(lambda *_: seen.append(1))
    compare(trainer)
    assert len(seen) >= 3  # the prefill, the old policy, the reference


def test_a_run_stops_at_its_first_step_where_log_probabilities_differ(build, monkeypatch, refusal):
    trainer = build()
    right = packing.prompt_positions

    def one_dimensional(base, prompts):
        return [torch.arange(len(prompt.ids)).expand(3, -1) for prompt in prompts]

    monkeypatch.setattr(packing, "prompt_positions", one_dimensional)
    message = refusal(trainer.train)
    assert "log-probabilities differ from TRL's" in message
    assert "model.shared_prefix: false" in message
    monkeypatch.setattr(packing, "prompt_positions", right)


@pytest.mark.parametrize(
    ("settings", "why"),
    [({"generation_kwargs": {"num_beams": 2}}, "num_beams is 2"), ({"share": False}, None)],
)
def test_what_cannot_be_shared_goes_trls_way_and_says_so(build, caplog, settings, why):
    trainer = build(images=(1, 1, 2, 1), **settings)
    assert not trainer.sharing
    said = [record.message for record in caplog.records if "shared prefix is off" in record.message]
    assert ([why in line for line in said] == [True]) if why else not said
    if why is None:
        trainer.train()
        assert trainer.state.global_step == 1


def test_a_compiled_model_goes_trls_way():
    nothing = dict.fromkeys(("tools", "environment_factories", "rollout_func", "aux_loss_enabled"))
    trainer = SimpleNamespace(**nothing, args=SimpleNamespace(torch_compile=True))
    assert "torch.compile" in SharedPrefixGRPOTrainer.why_not_shared(trainer)


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_the_fallback_serves_prompts_without_images_too(build, family):
    """In micro-batches of two rows, some of which have images in one row or in none: each row is scored as alone. (TRL
    counts the positions of a padded text from the padding on, which rounds otherwise.)"""
    settings = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 8, "num_iterations": 2}
    trainer = build(family, images=(1, 0, 2, 0), share=False, beta=0.1, **settings)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 8
    rows = [trainer.train_dataset[k // 4] for k in range(16)]
    kinds = set()
    for step in range(8):
        trainer._step = step
        inputs = trainer.prepare_inputs(rows)
        kinds.add(tuple(n > 0 for n in inputs["num_images"]))
        scored = logps(trainer, inputs, trainer.model)[0]
        torch.testing.assert_close(inputs["old_per_token_logps"], scored, rtol=0, atol=1e-5)
        assert trainer.compute_loss(trainer.model, inputs).isfinite()
        first = patches = 0
        for row, count in enumerate(inputs["num_images"]):
            grid = inputs["image_grid_thw"][first : first + count]
            first, after = first + count, patches + int(grid.prod(1).sum())
            prompt = inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()]
            answer = inputs["completion_ids"][row][inputs["completion_mask"][row].bool()]
            ids = torch.cat([prompt, answer])[None]
            vision = {}
            if count:
                vision = {"pixel_values": inputs["pixel_values"][patches:after], "image_grid_thw": grid}
                vision["mm_token_type_ids"] = (ids == trainer.model.config.image_token_id).int()
            patches = after
            with torch.no_grad():
                logits = trainer.model(input_ids=ids, **vision).logits[0, len(prompt) - 1 : -1]
            alone = logits.log_softmax(-1).gather(1, answer[:, None])[:, 0]
            torch.testing.assert_close(scored[row, : len(answer)], alone, rtol=0, atol=1e-5)
    assert (False, False) in kinds
    assert len(kinds) > 1


def test_groups_are_shuffled_whole():
    rows = 24
    batch = {"a": torch.arange(rows), "b": [str(i) for i in range(rows)], "n": torch.tensor(5), "none": None}
    groups = [i // 4 for i in range(rows)]
    torch.manual_seed(0)
    parts = split_groups(batch, groups, 3)
    assert sorted(i for part in parts for i in part["a"].tolist()) == list(range(rows))
    (whole,) = split_groups(batch, groups, 1)  # so that only the order of groups can have changed
    assert whole["a"].tolist() != list(range(rows))
    for part in parts:
        assert [int(text) for text in part["b"]] == part["a"].tolist()
        assert sorted(part["a"].tolist()) == sorted(
            i for i in range(rows) if groups[i] in {groups[j] for j in part["a"]}
        )
        assert part["n"] == 5
        assert part["none"] is None
    small = split_groups(batch, groups, 12)  # two rows each, of one group
    assert all(len({groups[i] for i in part["a"].tolist()}) == 1 for part in small)
