"""A stage's folder that is not empty: a run that died early locks nothing, and what was dear is never lost unasked."""

from __future__ import annotations

import json
import re

import pytest

from radrl.commands import train
from radrl.training.run_folder.record import FILE, Record
from radrl.training.run_folder.stage_folder import alone
from radrl.training.stage import MARKER, Clock, Stage


@pytest.fixture
def stage(tmp_path) -> Stage:
    return Stage(tmp_path / "run" / "sft", "SFT")


def begun(stage, recipe, kind="sft"):
    """Begins a run and gives it a whole checkpoint."""
    assert stage.begin(recipe, kind, resume=False) is None
    made = stage.folder / "checkpoint-4"
    made.mkdir()
    (made / MARKER).write_text('{"seconds": 12.5}')
    return made


@pytest.mark.parametrize("flags", [{"resume": False}, {"resume": True}])
def test_a_run_that_died_before_its_first_checkpoint_is_overwritten_also_with_another_recipe(stage, make_recipe, flags):
    assert stage.begin(make_recipe("sft.learning_rate=1.0"), "sft", resume=False) is None
    (stage.folder / "samples.jsonl").write_text("of the first run")
    (stage.folder / "checkpoint-2").mkdir()  # half-written
    (stage.folder / "notes.txt").write_text("the user's own")
    (stage.folder / "traces.jsonl").write_text("{}\n")
    mended = make_recipe("sft.learning_rate=0.1")
    assert stage.begin(mended, "sft", **flags) is None
    assert sorted(p.name for p in stage.folder.iterdir()) == ["notes.txt", "recipe.yaml", "traces.jsonl"]
    assert (stage.folder / "recipe.yaml").read_text() == mended.to_yaml()


def test_a_checkpoint_or_a_model_is_overwritten_only_with_restart(stage, make_recipe, refusal):
    recipe, other = make_recipe(), make_recipe("seed=1")
    made = begun(stage, recipe)
    said = refusal(stage.begin, recipe, "sft", resume=False)
    assert "--resume" in said
    assert "--restart" in said
    assert stage.begin(recipe, "sft", resume=True) == made
    assert Clock(made).seconds == 12.5
    assert "choose one" in refusal(stage.begin, recipe, "sft", resume=True, restart=True)
    assert made.is_dir()
    assert stage.begin(other, "sft", resume=False, restart=True) is None
    assert not made.exists()
    stage.model.mkdir()
    assert "holds a run already" in refusal(stage.begin, other, "sft", resume=False)
    assert stage.begin(other, "sft", resume=False, restart=True) is None
    assert not stage.model.exists()


def test_restart_touches_no_folder_of_somebody_else(stage, make_recipe):
    (stage.folder / "model").mkdir(parents=True)
    (stage.folder / "model" / "weights").write_text("dear")
    stage.begin(make_recipe(), "sft", resume=False, restart=True)
    assert (stage.folder / "model" / "weights").read_text() == "dear"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("seed=1", "key 'seed' was 0, is 1"),
        ("sft.learning_rate=2e-3", "key 'sft.learning_rate' was 0.001, is 0.002"),
        ("sft.weight_decay=0.1", "key 'sft.weight_decay' was not set, is 0.1"),
        ("data.limit=6", "key 'data.limit' was None, is 6"),
        ("augment.shift=0.1", "key 'augment.shift' was 0.0, is 0.1"),
    ],
)
def test_another_recipe_is_refused_with_the_key_that_differs(stage, make_recipe, refusal, change, said):
    begun(stage, make_recipe("sft={learning_rate: 1e-3}"))
    assert said in refusal(stage.begin, make_recipe("sft={learning_rate: 1e-3}", change), "sft", resume=True)


def test_what_does_not_change_the_training_may_change(stage, make_recipe):
    made = begun(stage, make_recipe("sft={learning_rate: 1e-3, logging_steps: 5}"))
    now = make_recipe(
        "sft={learning_rate: 0.001, save_steps: 7, report_to: tensorboard}",  # the same rate, written otherwise
        "grpo.learning_rate=5",  # another stage's
        "coldstart.thinking_share=1",
        "evaluation.samples=1",
        "data.test=[]",
        "seed=0",  # the default
    )
    assert stage.begin(now, "sft", resume=True) == made
    assert "save_steps: 7" in (stage.folder / "recipe.yaml").read_text()


def test_a_manifest_may_move_but_not_change(stage, make_recipe, phantom_set, tmp_path, refusal):
    from radrl.manifest.from_recipe import load_examples

    recipe = make_recipe()
    made = begun(stage, recipe)
    Record(stage.folder, recipe, "grpo", None).note_data(load_examples(recipe))
    moved = tmp_path / "moved.jsonl"
    moved.write_bytes((phantom_set / "train.jsonl").read_bytes())
    elsewhere = make_recipe(f"data.train=[{{manifest: {moved}, images: {phantom_set}}}]")
    assert stage.begin(elsewhere, "sft", resume=True) == made
    moved.write_bytes(moved.read_bytes().replace(b"lung", b"lnug", 1))
    assert "key 'data.train.0.manifest': the contents of" in refusal(stage.begin, elsewhere, "sft", resume=True)


def test_traces_for_another_box_format_are_neither_used_nor_lost(stage, make_recipe, refusal):
    teacher = "coldstart={teacher: {url: 'http://localhost:1', model: t}}"
    stage.begin(make_recipe(teacher), "coldstart", resume=False)
    (stage.folder / "traces.jsonl").write_text("{}\n")
    other = make_recipe(teacher, "prompt.box_format=thousand")
    for flags in ({"resume": False}, {"resume": True}, {"resume": False, "restart": True}):
        assert "'prompt.box_format', which was 'unit', is 'thousand'" in refusal(
            stage.begin, other, "coldstart", **flags
        )
    assert (stage.folder / "traces.jsonl").is_file()


def test_processes_that_start_together_agree_on_where_to_begin(stage, make_recipe, monkeypatch):
    """The first process prepares the folder, at any time before or after the others look at it."""
    recipe = make_recipe()
    made = begun(stage, recipe)
    monkeypatch.setenv("RANK", "1")
    before = sorted(stage.folder.iterdir())
    assert stage.begin(recipe, "sft", resume=False, restart=True) is None  # though a checkpoint is there still
    assert stage.begin(recipe, "sft", resume=True) == made
    assert sorted(stage.folder.iterdir()) == before
    with alone(stage.folder), alone(stage.folder):
        pass


def test_two_runs_in_one_folder_at_a_time_are_refused(stage, refusal):
    with alone(stage.folder):
        assert "another run is at work in it" in refusal(alone(stage.folder).__enter__)
    with alone(stage.folder):
        pass


def test_save_and_logging_intervals_of_a_resumed_run_are_those_asked_for_now(make_recipe, monkeypatch):
    """transformers would go on with those of the checkpoint."""
    first = make_recipe("sft={max_steps: 5, per_device_train_batch_size: 2, save_steps: 2}")
    on_save = Clock.on_save

    def killed(self, args, state, control, **kwargs):
        on_save(self, args, state, control, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Clock, "on_save", killed)
        with pytest.raises(KeyboardInterrupt):
            train.run_sft(first)
    saved: list[int] = []
    monkeypatch.setattr(Clock, "on_save", lambda self, args, state, control, **_: saved.append(state.global_step))
    now = make_recipe("sft={max_steps: 5, per_device_train_batch_size: 2, save_steps: 1}")
    folder = train.run_sft(now, resume=True).folder
    assert saved == [3, 4, 5]
    starts = json.loads((folder / FILE).read_text())["starts"]
    assert [start["exit"] for start in starts] == ["interrupted", "finished"]
    assert [start["resumed_from"] for start in starts] == [None, "checkpoint-2"]
    assert re.fullmatch(r"[0-9a-f]{64}", starts[1]["data"][0]["sha256"])
