"""Warnings of a training run: weights that stand still, a gradient far above what was usual, rewards without spread."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from radrl.commands import train
from radrl.errors import UserError
from radrl.recipe.sections import Guards
from radrl.training.callbacks.watch import Watch

RUN = "sft={max_steps: 2, per_device_train_batch_size: 2, save_strategy: 'no', gradient_checkpointing: false, "


def watch(caplog, rows, guards):
    """Returns the warnings of a run whose steps logged these rows."""
    seen = Watch(guards, "grpo")
    state = SimpleNamespace(log_history=[], is_world_process_zero=True)
    for step, row in enumerate(rows, 1):
        state.global_step = step
        state.log_history.append({"step": step, "learning_rate": 1e-5, "reward": 0.0, **row})
        seen.on_log(None, state, None)
    return [record.message for record in caplog.records]


def test_a_gradient_far_above_its_median_is_told_once_in_a_while(caplog):
    rows = [{"grad_norm": 0.0}, *[{"grad_norm": 1.0}] * 9, {"grad_norm": 11.0}, *[{"grad_norm": 12.0}] * 3]
    assert watch(caplog, rows[:11], Guards()) == []  # nine steps with a gradient are no basis
    (line,) = watch(caplog, [{"grad_norm": 1.0}, *rows], Guards())
    assert line.startswith("step 12: the gradient norm is 11, 11 times its median of the last 10 logged steps (1)")
    assert "'grpo.max_grad_norm'" in line
    caplog.clear()
    assert watch(caplog, [{"grad_norm": 1.0}, *rows], Guards(grad_norm=0)) == []
    with pytest.raises(UserError, match=r"step 12: .*'guards.stop'\)"):
        watch(caplog, [{"grad_norm": 1.0}, *rows], Guards(stop=True))


def test_rewards_without_spread_are_told_after_so_many_steps_in_a_row(caplog):
    flat, not_flat = {"frac_reward_zero_std": 1.0}, {"frac_reward_zero_std": 0.5}
    assert watch(caplog, [*[flat] * 4, not_flat, *[flat] * 4], Guards(no_spread=5)) == []
    (line,) = watch(caplog, [*[flat] * 4, not_flat, *[flat] * 7], Guards(no_spread=5))
    assert line.startswith("step 10: for 5 steps no group has had two different rewards (mean 0)")
    caplog.clear()
    assert watch(caplog, [flat] * 60, Guards(no_spread=0)) == []


@pytest.mark.parametrize(
    ("dtype", "rate", "more", "warned"),
    [
        ("bfloat16", 1e-6, (), True),
        ("bfloat16", 1e-6, ("sft.warmup_steps=1",), True),
        ("bfloat16", 1e-2, (), False),
        ("bfloat16", 1e-6, ("model.lora={r: 2, target_modules: [q_proj]}",), False),  # peft keeps these in float32
        ("float32", 1e-6, (), False),
        ("float32", 1e-6, ("sft.bf16=true",), False),
    ],
    ids=["small", "after warm-up", "large", "adapters", "float32", "autocast"],
)
def test_weights_that_stand_still_are_told_at_the_first_full_step(
    make_recipe, tiny_folder, caplog, dtype, rate, more, warned
):
    model = f"model={{start: {tiny_folder}, dtype: {dtype}}}"
    train.run_sft(make_recipe(model, RUN + f"learning_rate: {rate}, lr_scheduler_type: constant_with_warmup}}", *more))
    lines = [record.message for record in caplog.records if "weights that have a gradient moved" in record.message]
    assert len(lines) == warned
    if warned:
        step = 2 if "sft.warmup_steps=1" in more else 1
        assert lines[0].startswith(f"step {step}: only ")
        share = float(lines[0].split("only ")[1].split("%")[0])
        assert 0 < share < 5
        assert "'model.dtype: float32' with 'sft.bf16: true'" in lines[0]


def test_weights_that_stand_still_end_the_run_where_the_recipe_says_so(make_recipe, tiny_folder, refusal):
    model = f"model={{start: {tiny_folder}, dtype: bfloat16}}"
    recipe = make_recipe(model, RUN + "learning_rate: 1e-6}", "guards.stop=true")
    assert "rounded away in bfloat16" in refusal(train.run_sft, recipe)
    assert not (recipe.path(recipe.out) / "sft" / "model").exists()
