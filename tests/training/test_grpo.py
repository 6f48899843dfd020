"""GRPO: a run that resumes exactly, rewards for every task, and the logs that a length audit needs."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from safetensors.torch import load_file
from small_grpo import NAMES, RUN, SETTINGS

from radrl.commands import train
from radrl.training import grpo
from radrl.training.grpo import _check_saves
from radrl.training.stage import Progress, last_checkpoint


def weights(stage):
    return load_file(stage.model / "model.safetensors")


@pytest.mark.parametrize(("iterations", "steps_an_epoch"), [(1, 3), (2, 6)])
def test_a_run_resumed_in_its_second_epoch_equals_an_unbroken_one(make_recipe, monkeypatch, iterations, steps_an_epoch):
    last = 2 * steps_an_epoch
    run = (*RUN, f"grpo.num_iterations={iterations}", f"grpo.max_steps={last}")
    unbroken, broken = train.run_grpo(make_recipe(*run)), make_recipe(*run, "out=broken")
    on_step_end = Progress.on_step_end

    def stop(self, args, state, control, **kwargs):
        on_step_end(self, args, state, control, **kwargs)
        if state.global_step == last - 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train.run_grpo(broken)
    assert steps_an_epoch < int(last_checkpoint(broken.path("broken") / "grpo").name.split("-")[1]) < last
    resumed = train.run_grpo(broken, resume=True)
    assert not (resumed.folder / "README.md").exists()  # TRL's model card
    one, other = weights(unbroken), weights(resumed)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)

    steps, again = ([row for row in stage.log() if "reward" in row] for stage in (unbroken, resumed))
    assert len(steps) == len(again) == last // iterations  # one rollout serves several steps
    assert any(row["grad_norm"] > 0 for row in steps)
    for key in ("reward", "completions/mean_length", "frac_reward_zero_std", "loss"):
        assert [row[key] for row in steps] == [row[key] for row in again]
        assert all(math.isfinite(row[key]) for row in steps)
    logged = {key for row in steps for key in row if key.startswith("rewards/")}
    assert logged == {f"rewards/{name}/{figure}" for name in NAMES for figure in ("mean", "std")}


@pytest.fixture
def trainer_of(make_recipe, monkeypatch):
    """``trainer_of("a.b=c", ...)`` returns the trainer of a GRPO run that has not begun."""

    def make(*overrides):
        made = []
        monkeypatch.setattr(grpo, "train_and_save", lambda trainer, *_: made.append(trainer))
        train.run_grpo(make_recipe(*RUN, *overrides))
        return made[0]

    return make


def test_the_weights_of_the_recipe_are_those_of_the_reward(make_recipe):
    one_step = ("data.tasks=[report]", "grpo.max_steps=1", "data.limit=12")
    rewards = "rewards={report: [{scorer: length, weight: 0.25}, {scorer: finding_f1, weight: 3}]}"
    stage = train.run_grpo(make_recipe(*RUN, *one_step, rewards))
    step = next(row for row in stage.log() if "reward" in row)
    length, finding_f1 = (step[f"rewards/report/{name}/mean"] for name in ("length", "finding_f1"))
    assert length > 0
    assert step["reward"] == pytest.approx(0.25 * length + 3 * finding_f1)


def test_prompts_are_asked_as_the_recipe_says(trainer_of):
    changed = trainer_of("prompt={box_format: thousand, thinking: true}")
    asked = {row["example"].id: row["prompt"][-1]["content"][-1]["text"] for row in changed.train_dataset}
    assert all(text.endswith(" /think") for text in asked.values())
    boxes = [row["example"].id for row in changed.train_dataset if row["example"].task == "grounding"]
    assert boxes
    assert all("JSON" in asked[name] for name in boxes)


@pytest.mark.parametrize("of_trl", [False, True])
def test_the_gradient_of_kl_is_that_of_grpos_papers(trainer_of, tiny_folder, monkeypatch, of_trl):
    """k3 = r - log r - 1 with r = reference / policy (arXiv 2402.03300, equation 4), whose gradient is 1 - r. TRL's own
    default, k3 times policy / old policy, has another, even on policy, where that ratio is 1."""
    said = ("grpo.use_bias_correction_kl=true",) if of_trl else ()
    trainer = trainer_of(f"model={{start: {tiny_folder}}}", "grpo.beta=0.5", "grpo.loss_type=grpo", *said)
    trainer.current_gradient_accumulation_steps = 1
    policy = torch.tensor([[-1.0, -2.0, -0.5], [-3.0, -0.1, -1.0]], requires_grad=True)
    reference = torch.tensor([[-1.5, -1.0, -0.5], [-2.0, -0.4, -1.1]])
    logps = lambda *_, **__: (policy, torch.zeros_like(policy), None)  # noqa: E731
    monkeypatch.setattr(trainer, "token_log_probs", logps)
    ones = torch.ones(2, 3)
    rows = {f"{part}_{what}": ones.long() for part in ("prompt", "completion") for what in ("ids", "mask")}
    trainer._compute_loss(None, {**rows, "advantages": torch.zeros(2), "ref_per_token_logps": reference}).backward()
    r = (reference - policy.detach()).exp()
    k3 = r - (reference - policy.detach()) - 1
    papers = 0.5 * (1 - r) / 6
    torch.testing.assert_close(policy.grad, papers + 0.5 * k3 / 6 if of_trl else papers)


def test_every_epoch_has_an_order_of_its_own_and_groups_stay_whole(trainer_of):
    loader = trainer_of().get_train_dataloader()

    def order(epoch):
        loader.set_epoch(epoch)
        seen = [row["example"].id for batch in loader for row in batch]
        assert seen[::2] == seen[1::2]  # the two rollouts of a prompt
        return seen[::2]

    first, second, again = order(0), order(1), order(0)
    assert first == again  # of the epoch, not of what was drawn before
    assert sorted(first) == sorted(second)
    assert len(set(first)) == 6
    assert len({tuple(sorted(first)), tuple(first), tuple(second)}) == 3


def test_kl_to_a_model_that_has_no_folder_is_refused(make_recipe, refusal):
    assert "'grpo.beta' is above 0" in refusal(train.run_grpo, make_recipe(*RUN, "grpo.beta=0.1"))


def test_a_head_in_float32_that_is_also_the_embedding_is_refused(make_recipe, refusal):
    recipe = make_recipe(*RUN, "grpo.cast_lm_head_to_fp32=true")
    assert "'grpo.cast_lm_head_to_fp32'" in refusal(train.run_grpo, recipe)


def test_a_task_without_rewards_is_refused(make_recipe, refusal):
    recipe = make_recipe("rewards={report: [{scorer: format}]}", SETTINGS)
    message = refusal(train.run_grpo, recipe)
    assert "no rewards for task 'grounding'" in message
    assert "rewards.grounding" in message


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ("num_iterations: 2, save_steps: 2", 2),
        ("num_iterations: 4, save_steps: 2", "make it a multiple of 4"),
        ("steps_per_generation: 3, save_steps: 2", "make it a multiple of 3"),
        ("steps_per_generation: 3, gradient_accumulation_steps: 2, save_steps: 50", "make it a multiple of 3"),
        ("save_steps: 0.1", "0.1, a share of the run; give a number of steps"),
        ("save_steps: 0.1, save_strategy: 'no'", 0.1),
        ("num_iterations: 4", 52),  # not said: the first multiple from 50 on
        ("num_iterations: 1", 50),
        ("steps_per_generation: 3, gradient_accumulation_steps: 2", 51),
    ],
)
def test_checkpoints_must_fall_between_rollouts(make_recipe, refusal, more, wanted):
    recipe = make_recipe(f"grpo={{per_device_train_batch_size: 4, num_generations: 2, {more}}}")
    config = recipe.grpo_config("out")
    if isinstance(wanted, str):
        assert wanted in refusal(_check_saves, config, recipe)
    else:
        _check_saves(config, recipe)
        assert config.save_steps == wanted


def test_a_completion_without_any_reward_is_not_quoted_in_the_log(make_recipe, tmp_path, examples):
    (tmp_path / "mine.py").write_text(
        "from radrl.scoring import scorer\n\n\n"
        "@scorer('silent', tasks=('report',), low=0.0, high=1.0, higher_is_better=True)\n"
        "def silent(examples, answers):\n    return [None for _ in examples]\n"
    )
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("trl.trainer.grpo_trainer")
    logger.addHandler(handler)
    try:
        recipe = make_recipe(
            "data.tasks=[report]", "rewards={report: [{scorer: 'mine.py:silent'}]}", SETTINGS, "grpo.max_steps=1"
        )
        train.run_grpo(recipe)
    finally:
        logger.removeHandler(handler)
    assert "no reward could be computed of a completion; it has no advantage" in said
    reports = [one.reference for one in examples if one.task == "report"]
    assert not [line for line in said for report in reports if report in line]
