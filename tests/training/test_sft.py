"""SFT: soft labels, and a run that is the same twice and the same when it is broken off and resumed."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from radrl.commands import train
from radrl.errors import UserError
from radrl.models.inputs import Row, sft_inputs
from radrl.prompt.messages import PromptStyle
from radrl.recipe.augmentation import Augment
from radrl.support.files import write_json
from radrl.training import stage as run
from radrl.training.callbacks.deadline import Deadline
from radrl.training.checks import run_checks
from radrl.training.sft import RadrlSFTTrainer
from radrl.training.sft_rows import SFTRows
from radrl.training.soft_labels import SoftCoordinates
from radrl.training.stage import Clock, Progress, Stage
from radrl.training.train_and_save import train_and_save

# 12 Examples of two films, two in a row, in batches of 2 rows: 3 steps an epoch. Everything that is random is on.
RUN = (
    "data.limit=12",
    "data.questions_per_row=2",
    "augment={shift: 0.1, scale: 0.1, flip: 0.5, contrast: 0.2, brightness: 0.1}",
    "losses.coordinate_sigma=0.02",
    "coldstart.thinking_share=0.5",
    "coldstart.sft={max_steps: 7, per_device_train_batch_size: 2, save_steps: 2, learning_rate: 1e-3, "
    "gradient_checkpointing: false}",
)


def weights(stage):
    return load_file(stage.model / "model.safetensors")


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_run_resumed_in_its_second_epoch_equals_an_unbroken_one(make_recipe, monkeypatch):
    recipe, broken = make_recipe(*RUN), make_recipe(*RUN, "out=broken")
    unbroken = train.run_coldstart(recipe)
    started = train.start_model(run_checks.Run(recipe, "sft", recipe.path("run"), train.load_examples(recipe)))[0]
    assert not equal(weights(unbroken), dict(started.state_dict()))

    on_step_end = Progress.on_step_end
    bars = []

    def stop(self, args, state, control, **kwargs):
        bars.append(self.bar)
        on_step_end(self, args, state, control, **kwargs)
        if state.global_step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train.run_coldstart(broken)
    folder = broken.path("broken") / "coldstart"
    assert sorted(p.name for p in folder.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    assert not (folder / "model").exists()
    assert not bars[-1].live.is_started  # else the terminal is left without its cursor

    resumed = train.run_coldstart(broken, resume=True)
    assert equal(weights(resumed), weights(unbroken))
    assert [row for row in resumed.log() if "loss" in row] == [row for row in unbroken.log() if "loss" in row]
    assert not list(folder.glob("checkpoint-*"))
    assert not (folder / "README.md").exists()  # TRL's model card
    assert resumed.done()["steps"] == 7
    modified = (resumed.model / "model.safetensors").stat().st_mtime_ns
    train.run_coldstart(broken, resume=True)  # a stage that has ended is not done again
    assert (resumed.model / "model.safetensors").stat().st_mtime_ns == modified


def test_a_control_ends_by_the_clock_and_its_learning_rate_goes_with_it(make_recipe, tmp_path, monkeypatch):
    write_json(tmp_path / "grpo" / "done.json", {"seconds": 8})
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=itertools.count().__next__))  # a second a step
    recipe = make_recipe("sft={max_steps: 3, per_device_train_batch_size: 3, learning_rate: 1e-3, save_strategy: 'no'}")
    stage = train.run_sft(recipe, "control", as_long_as=tmp_path / "grpo")
    rates = [row["learning_rate"] for row in stage.log() if "loss" in row]
    # a step's rate is set before the clock is read at the end of the step before
    assert rates == pytest.approx([1e-3 * (1 - max(k - 1, 0) / 8) for k in range(8)])


def test_a_control_needs_a_stage_that_has_ended(make_recipe, tmp_path, refusal):
    recipe = make_recipe("sft={max_steps: 3}")
    assert "needs the folder of a stage that has ended" in refusal(train.run_sft, recipe, "c", as_long_as=tmp_path)
    assert not (recipe.path(recipe.out) / "c").exists()


def test_a_schedule_that_cannot_go_by_time_is_refused(refusal):
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD([torch.zeros(1)], lr=1.0))
    assert "ReduceLROnPlateau cannot go by time" in refusal(Deadline(Clock(None), 1.0).rule, schedule, 3)


def _safetensors_error(folder):
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    ("save", "full"),
    [
        (lambda folder: Path("/dev/full").write_text("a"), True),
        (lambda folder: torch.save({"a": torch.zeros(10**6)}, "/dev/full"), True),
        (_safetensors_error, True),
        (lambda folder: (folder / "none").read_text(), False),
        (lambda folder: torch.zeros(2) @ torch.zeros(3), False),
    ],
    ids=["file", "torch", "safetensors", "other file", "other"],
)
def test_a_full_disk_while_a_checkpoint_is_written_is_one_line(tmp_path, save, full):
    trainer = SimpleNamespace(
        args=SimpleNamespace(n_gpu=0),
        is_fsdp_enabled=False,
        remove_callback=lambda _: None,
        callback_handler=SimpleNamespace(callbacks=[]),
        train=lambda **_: save(tmp_path),
    )
    with pytest.raises((UserError, OSError, RuntimeError)) as caught:
        train_and_save(trainer, None, Stage(tmp_path, "SFT"), Clock(None), None)
    line = f"{tmp_path}: no space left; free some and run again with --resume"
    assert (isinstance(caught.value, UserError) and str(caught.value) == line) == full


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(make_recipe):
    short = ("data.limit=6", "sft={max_steps: 2, per_device_train_batch_size: 3}")
    one, again, other = (
        weights(train.run_sft(make_recipe(*short, f"seed={seed}"), name))
        for name, seed in zip("abc", (0, 0, 1), strict=True)
    )
    assert equal(one, again)
    assert not equal(one, other)


@pytest.mark.parametrize("loss", ["losses.coordinate_sigma=0.02", "data.questions_per_row=2", "seed=0"])
def test_every_token_counts_alike_however_a_batch_is_split(make_recipe, loss):
    """The mean is over the tokens of the whole batch: a mean of the parts' means would weigh a short part's tokens
    more (the fault of huggingface/transformers#34191)."""

    def step(at_once):
        split = f"per_device_train_batch_size: {at_once}, gradient_accumulation_steps: {4 // at_once}"
        stage = train.run_sft(
            make_recipe("data.limit=12", loss, f"sft={{max_steps: 1, save_strategy: 'no', {split}}}"), f"by{at_once}"
        )
        return next(row for row in stage.log() if "loss" in row)

    whole, parts = step(4), step(1)
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-4)
    assert parts["grad_norm"] == pytest.approx(whole["grad_norm"], rel=1e-3)


def test_soft_labels_become_cross_entropy_as_sigma_vanishes(tiny, examples):
    model, processor = tiny
    batch = sft_inputs(processor, [Row(examples.pictures(i), [(examples[i], PromptStyle())]) for i in range(6)])
    labels = batch.pop("labels")[:, 1:]
    with torch.inference_mode():
        logits = model(**batch).logits[:, :-1][labels != -100]
    labels = labels[labels != -100]
    hard = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(SoftCoordinates(processor.tokenizer, 1e-4).loss(logits, labels), hard)

    soft = SoftCoordinates(processor.tokenizer, 0.02)
    coordinate = torch.isin(labels, soft.ids)
    assert coordinate.any()
    found = soft.loss(logits, labels)
    torch.testing.assert_close(found[~coordinate], hard[~coordinate])  # words keep their labels
    assert not torch.allclose(found[coordinate], hard[coordinate])


def test_a_soft_label_is_the_gaussian_over_neighbours(tiny):
    _, processor = tiny
    soft = SoftCoordinates(processor.tokenizer, 0.02)
    logits = torch.randn(1, len(processor.tokenizer), generator=torch.Generator().manual_seed(0))
    wanted = torch.exp(-((torch.arange(101) / 100 - 0.3) ** 2) / (2 * 0.02**2))
    wanted = -(wanted / wanted.sum() * logits.log_softmax(-1)[:, soft.ids]).sum()
    (label,) = processor.tokenizer("0.30")["input_ids"]
    torch.testing.assert_close(soft.loss(logits, torch.tensor([label]))[0], wanted)


def test_soft_labels_need_coordinate_tokens(refusal):
    def letters(text, add_special_tokens):
        return {"input_ids": list(text.encode())}

    assert "coordinate_sigma" in refusal(SoftCoordinates, letters, 0.02)


def rows_of(examples, questions=1, seed=0, epoch=0, order=None, share=0.5, **changes):
    made = SFTRows(
        examples,
        PromptStyle(),
        questions=questions,
        augmentation=Augment(**changes),
        thinking_share=share,
        seed=seed,
    )
    made.epoch = epoch
    return made({"index": list(range(len(made))) if order is None else order})["row"]


def test_the_random_choices_of_a_row_depend_on_seed_epoch_and_row_alone(examples):
    def rows(**more):
        found = rows_of(examples, shift=0.2, **more)
        return [(row.pictures[0].tobytes(), [(e.boxes, s.thinking) for e, s in row.questions]) for row in found]

    first = rows()
    assert rows(order=list(range(len(first)))[::-1]) == first[::-1]
    assert rows(epoch=1) != first
    assert rows(seed=1) != first
    thinking = [asked[1] for _, questions in first for asked in questions]
    assert 0.25 < sum(thinking) / len(thinking) < 0.75


def asked_in(row):
    return [example for example, _ in row.questions]


def test_questions_on_one_film_share_a_row_and_its_changes(examples):
    rows = rows_of(examples, questions=4, flip=0.5)
    assert sorted(e.id for row in rows for e in asked_in(row)) == sorted(e.id for e in examples)
    assert all(len(row.questions) <= 4 and len({e.images for e in asked_in(row)}) == 1 for row in rows)
    assert len(rows) == 16  # 8 films of 6 questions, 4 to a row
    given = {e.id: (e.boxes, examples.pictures(i)[0].tobytes()) for i, e in enumerate(examples)}
    kept = set()
    for row in rows:  # the questions are mirrored if and only if the picture is
        (plain,) = {given[e.id][1] == row.pictures[0].tobytes() for e in asked_in(row)}
        assert all((given[e.id][0] == e.boxes) == plain for e in asked_in(row) if e.boxes)
        kept.add(plain)
    assert kept == {False, True}


def test_lora_is_merged_into_the_saved_model(make_recipe):
    recipe = make_recipe(
        "data.limit=4",
        "model.lora={r: 4, target_modules: [q_proj, v_proj]}",
        "sft={max_steps: 1, per_device_train_batch_size: 4, learning_rate: 1e-2}",
    )
    saved = weights(train.run_sft(recipe))
    start = train.start_model(run_checks.Run(recipe, "sft", recipe.path("run"), train.load_examples(recipe)))[
        0
    ].state_dict()
    assert {key for key in saved if not torch.equal(saved[key], start[key])} <= {k for k in start if "_proj" in k}
    assert saved.keys() <= start.keys()


def test_the_loss_of_a_mixture_of_experts_is_not_left_out_in_silence(refusal):
    trainer = SimpleNamespace(soft_labels=None, aux_loss_enabled=True, shared_rows=False)
    assert "router_aux_loss_coef" in refusal(RadrlSFTTrainer.compute_loss, trainer, None, {"segments": None})


def test_workers_that_stay_see_the_next_epoch(make_recipe):
    """A worker of a DataLoader has a copy of the data set; one that stays has kept the first epoch's."""
    two_epochs = "num_train_epochs: 2, per_device_train_batch_size: 6, learning_rate: 1e-3, save_strategy: 'no'"
    workers = "dataloader_num_workers: 1, dataloader_persistent_workers: true"
    alone, helped = (
        weights(train.run_sft(make_recipe("data.limit=12", "augment.shift=0.2", f"sft={{{settings}}}"), name))
        for settings, name in ((two_epochs, "alone"), (f"{two_epochs}, {workers}", "helped"))
    )
    assert equal(alone, helped)
