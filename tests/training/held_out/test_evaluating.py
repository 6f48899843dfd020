"""Evaluation while a stage trains: right figures, the best checkpoint, and weights that do not know of it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from radrl.commands import train as stages
from radrl.commands.evaluate import run_evaluation
from radrl.commands.load_recipe import load_recipe
from radrl.data import phantom
from radrl.manifest.example_set import read_manifests
from radrl.models import loading
from radrl.models.inputs import Row, sft_inputs
from radrl.prompt.messages import PromptStyle
from radrl.support.files import write_json
from radrl.training import stage as run
from radrl.training.held_out.dev import Dev
from radrl.training.held_out.evaluating import read_held_out
from radrl.training.sft import RadrlSFTTrainer
from radrl.training.stage import Progress, Stage

SFT = "sft={max_steps: 4, per_device_train_batch_size: 2, learning_rate: 3e-3, lr_scheduler_type: constant}"
SHORT = ("data.limit=8", "evaluation.max_new_tokens=8")
EVALUATED = ("sft.eval_strategy=steps", "sft.eval_steps=1")
LORA = "model.lora={r: 4, lora_dropout: 0.5, target_modules: [q_proj, v_proj]}"
BEST = ("sft.load_best_model_at_end=true", "sft.save_strategy=best")


@pytest.fixture(scope="module")
def dev_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dev")
    phantom.write(folder, {"dev": 3}, size=64, workers=1)
    return folder / "dev.jsonl"


@pytest.fixture
def recipe_of(make_recipe, dev_file):
    def make(*overrides, out="run"):
        return make_recipe(*SHORT, SFT, f"data.dev=['{dev_file}']", *overrides, out=out)

    return make


def weights(stage):
    return load_file(stage.model / "model.safetensors")


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def evaluations(stage):
    return [{k: v for k, v in row.items() if k != "eval_runtime"} for row in stage.log() if "eval_runtime" in row]


def stopped_after(step, monkeypatch, function, *args):
    """Calls ``function`` and breaks it off at the end of a step."""
    on_step_begin = Progress.on_step_begin

    def stop(self, args, state, control, **kwargs):
        on_step_begin(self, args, state, control, **kwargs)
        if state.global_step == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_step_begin", stop)
        with pytest.raises(KeyboardInterrupt):
            function(*args)


@pytest.mark.parametrize("more", [(), (LORA,), ("data.questions_per_row=3", "augment={shift: 0.1, flip: 0.5}")])
def test_sft_is_the_same_with_evaluation_and_without(recipe_of, monkeypatch, more):
    columns = Dev.columns

    def drawing(self, answers):  # as somebody's scorer may
        torch.rand(3), np.random.rand(3), random.random()
        return columns(self, answers)

    monkeypatch.setattr(Dev, "columns", drawing)
    bare = stages.run_sft(recipe_of(*more, out="bare"))
    stage = stages.run_sft(recipe_of(*more, *EVALUATED))
    assert equal(weights(bare), weights(stage))
    losses = [[row["loss"] for row in one.log() if "loss" in row] for one in (bare, stage)]
    assert losses[0] == losses[1]
    found = evaluations(stage)
    assert [row["step"] for row in found] == [1, 2, 3, 4]
    assert all(np.isfinite(value) for row in found for value in row.values())
    assert {"eval_loss", "eval_soft_f1", "eval_format"} < found[0].keys()
    assert stage.done()["steps"] == 4


@pytest.mark.slow
def test_the_figures_are_those_of_radrl_evaluate_and_the_loss_that_of_plain_torch(recipe_of, dev_file):
    longer = (
        "sft.max_steps=60",
        "sft.eval_steps=60",
        "sft.per_device_eval_batch_size=3",
        "evaluation.max_new_tokens=24",
    )
    recipe = recipe_of("data.limit=null", *EVALUATED, *longer, "sft.metric_for_best_model=clinical_error")
    stage = stages.run_sft(recipe)
    (found,) = evaluations(stage)
    test = [f"data.test=['{dev_file}']", "data.limit=null", "data.train=[]", "evaluation.max_new_tokens=24"]
    judged = load_recipe(recipe.file, test)
    run_evaluation(judged, {"trained": (str(stage.model), False)}, recipe.path("judged"))
    cells = json.loads((recipe.path("judged") / "comparison.json").read_text())["cells"]["trained"]
    wanted = {"eval_" + name.replace(" ", "_"): cell["mean"] for name, cell in cells.items() if cell}
    figures = {key: value for key, value in found.items() if key not in ("eval_loss", "step", "epoch")}
    assert len(figures) > 8
    assert sum(0 < value < 1 for value in figures.values()) > 1  # the model has learned something
    assert figures == pytest.approx({key: wanted[key] for key in figures})

    model, processor = loading.load(str(stage.model))
    losses = []
    for example in (dev := read_manifests([dev_file])):
        row = Row(dev.pictures([one.id for one in dev].index(example.id)), [(example, recipe.style(thinking=False))])
        inputs = sft_inputs(processor, [row])
        labels = inputs.pop("labels")[0, 1:]
        logits = model(**inputs).logits[0, :-1]
        losses += torch.nn.functional.cross_entropy(logits, labels, reduction="none")[labels != -100].tolist()
    assert found["eval_loss"] == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), (LORA,)], ids=["all", "lora"])
@pytest.mark.parametrize("save", ["best", "steps"])
def test_the_best_model_is_saved_also_after_a_kill(recipe_of, monkeypatch, more, save):
    # the best step, 3, is not the last one, nor one of save_steps
    monkeypatch.setattr(RadrlSFTTrainer, "held_out_loss", lambda self, rows: 1.0 + abs(self.state.global_step - 3))
    keep = ("sft.load_best_model_at_end=true", f"sft.save_strategy={save}")
    run = (*more, *EVALUATED, *keep, "sft.max_steps=5", "sft.save_steps=2")
    unbroken = stages.run_sft(recipe_of(*run))
    done = unbroken.done()
    assert (done["steps"], done["model_step"], done["loss"]) == (5, 3, 1.0)
    assert not list(unbroken.folder.glob("checkpoint-*"))
    assert equal(weights(unbroken), weights(stages.run_sft(recipe_of(*more, "sft.max_steps=3", out="three"))))

    broken = recipe_of(*run, out="broken")
    stopped_after(4, monkeypatch, stages.run_sft, broken)
    assert "checkpoint-3" in [p.name for p in (broken.path("broken") / "sft").glob("checkpoint-*")]
    resumed = stages.run_sft(broken, resume=True)
    assert equal(weights(resumed), weights(unbroken))
    assert evaluations(resumed) == evaluations(unbroken)
    assert {k: v for k, v in resumed.done().items() if k != "seconds"} == {
        k: v for k, v in done.items() if k != "seconds"
    }


@pytest.mark.slow
def test_two_processes_evaluate_as_one(recipe_of):
    once = (
        *EVALUATED,
        "sft.max_steps=1",
        "data.limit=7",
        "data.questions_per_row=2",
        "sft.load_best_model_at_end=true",
    )
    alone = stages.run_sft(recipe_of(*once, "sft.eval_on_start=true", out="alone"))
    recipe = recipe_of(*once, "sft.eval_on_start=true", "sft.per_device_train_batch_size=1", out="two")
    file = recipe.path("two.yaml")
    file.write_text(recipe.to_yaml())
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "radrl"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([*command, "sft", str(file)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    two = Stage(recipe.path("two") / "sft", "two")
    for one, other in zip(evaluations(alone), evaluations(two), strict=True):
        assert other == pytest.approx(one, rel=1e-4)
    assert two.done()["model_step"] == 1


def test_the_cold_start_is_evaluated_with_thinking(recipe_of):
    section = "coldstart.sft={max_steps: 1, per_device_train_batch_size: 2, eval_strategy: steps, save_strategy: best, "
    stage = stages.run_coldstart(recipe_of(section + "metric_for_best_model: format}", "coldstart.thinking_share=1"))
    (found,) = evaluations(stage)
    assert (found["step"], found["eval_format"]) == (1, 0.0)  # an untrained model does not close its thinking
    assert found["eval_loss"] > 0


def test_grpo_keeps_the_best_model_by_a_metric_of_its_answers(recipe_of, monkeypatch):
    values = {0: 0.9, 2: 0.5, 4: 0.2, 6: 0.4}  # of clinical error, for which lower is better; 0 is the start
    grpo = (
        "data.tasks=[report]", "rewards={report: [{scorer: length}]}",
        "grpo={max_steps: 6, num_iterations: 2, per_device_train_batch_size: 4, num_generations: 2, "
        "max_completion_length: 8, learning_rate: 1e-3, load_best_model_at_end: true, eval_steps: 2, "
        "metric_for_best_model: eval_clinical_error}",
    )  # fmt: skip
    figures = Dev.figures

    def scripted(self, answers, chosen):
        found = figures(self, answers, chosen)
        assert "eval_clinical_error" in found
        return found | {"eval_clinical_error": values.pop(next(iter(values)))}

    monkeypatch.setattr(Dev, "figures", scripted)
    stage = stages.run_grpo(recipe_of(*grpo))
    assert [row["step"] for row in evaluations(stage)] == [0, 2, 4, 6]
    assert all("audit/dev/report" in row and "eval_finding_f1" in row for row in evaluations(stage))
    assert (stage.done()["model_step"], stage.done()["clinical_error"]) == (4, 0.2)
    short = stages.run_grpo(recipe_of(*grpo, "grpo.max_steps=4", "grpo.eval_strategy='no'",
                                      "grpo.load_best_model_at_end=false", out="four"))  # fmt: skip
    assert not equal(weights(stage), weights(short))  # its learning rate falls faster
    assert not evaluations(short)


def test_a_control_of_equal_time_does_not_count_evaluation(recipe_of, tmp_path, monkeypatch):
    write_json(tmp_path / "grpo" / "done.json", {"seconds": 5})
    now = [0.0]
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: now[0]))
    answers, training_step = Dev.answers, RadrlSFTTrainer.training_step

    def later(seconds, function):
        def call(*args, **kwargs):
            now[0] += seconds
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(Dev, "answers", later(100, answers))
    monkeypatch.setattr(RadrlSFTTrainer, "training_step", later(1, training_step))
    stage = stages.run_sft(recipe_of("sft.eval_strategy=steps", "sft.eval_steps=3"), "c", as_long_as=tmp_path / "grpo")
    assert (stage.done()["steps"], stage.done()["seconds"]) == (5, 5.0)
    assert [row["step"] for row in evaluations(stage)] == [3, 5]


@pytest.mark.parametrize(
    ("command", "settings", "said"),
    [
        ("sft", ("data.dev=[]", "sft.eval_strategy=steps"), "key 'sft.eval_strategy' is 'steps', but there is nothing"),
        ("sft", ("sft.save_strategy=best",), "key 'sft.save_strategy' is 'best', but nothing is evaluated"),
        ("sft", ("sft.load_best_model_at_end=true",), "key 'sft.load_best_model_at_end' is True, but nothing"),
        ("sft", (*EVALUATED, "sft.metric_for_best_model=finding_F1"), "mean 'finding_f1'?); there are: loss, "),
        ("sft", (*EVALUATED, "sft.metric_for_best_model=length"), "is better neither way"),
        ("sft", (*EVALUATED, *BEST, "sft.metric_for_best_model=clinical_error", "sft.greater_is_better=true"),
         "lower is better of clinical_error"),
        ("grpo", ("data.tasks=[report]", "grpo.load_best_model_at_end=true"),
         "key 'grpo.metric_for_best_model' is missing; there are: "),
        ("coldstart", ("data.dev=[]", "coldstart.sft={eval_strategy: epoch}"), "key 'coldstart.sft.eval_strategy'"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_refused_before_the_model_is_loaded(
    recipe_of, monkeypatch, refusal, command, settings, said
):
    monkeypatch.setattr(stages, "tiny_model", None)
    recipe = recipe_of("rewards={report: [{scorer: length}]}", *settings)
    assert said in refusal(getattr(stages, f"run_{command}"), recipe)


def test_a_scorer_names_its_metric_where_there_is_one(recipe_of):
    recipe = recipe_of("data.tasks=[vqa_open]", *EVALUATED, "sft.metric_for_best_model=vqa_accuracy")
    train = stages.load_examples(recipe)
    assert read_held_out(recipe, "sft", train, PromptStyle()).chosen.name == "vqa_open accuracy"
