"""The audit of a GRPO run: right figures, warnings where a reward is hacked and only there, nothing changed by it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radrl.clinical.compare import KINDS
from radrl.commands import train as stages
from radrl.data import phantom
from radrl.example import TASKS, Example
from radrl.prompt.messages import PromptStyle
from radrl.training.audit.callback import GROUPS, Audit
from radrl.training.audit.figures import Means, batch_figures, correlation, group_row, means, measure, metric_name
from radrl.training.audit.judging import DRIFT, Change
from radrl.training.held_out.dev import Dev
from radrl.training.stage import Progress

DIRECT = PromptStyle()
RIGHT = "Small left effusion. The heart is enlarged."
SHORT = "Effusion."
LONG = RIGHT + " Right pneumothorax. Right upper lobe mass. Left lower lobe consolidation. Fracture. Edema."


def report(number: int, reference: str = RIGHT) -> Example:
    return Example(id=f"r{number}", task="report", question="Report.", reference=reference, patient=f"p{number}")


class Stream:
    """Feeds rollout batches of 8 groups of 4 to an audit, as TRL would; lines of the log are in ``caplog``."""

    def __init__(self, folder, rewards=("report/length",), dev=None, checkpoint=None):
        self.audit = Audit(folder, DIRECT, rewards, dev, checkpoint)
        self.audit.trainer = SimpleNamespace(
            accelerator=SimpleNamespace(gather=lambda x: x),
            num_generations=4,
            reward_weights=torch.ones(len(rewards)),
            reward_func_names=list(rewards),
            state=SimpleNamespace(global_step=0),
            is_world_process_zero=lambda: True,
            figures_to_log={"train": defaultdict(list)},
            log=lambda figures: None,
        )

    def batch(self, completions, reward=lambda text: float(len(text.split())), reference=RIGHT):
        """One batch in which each group holds the four completions."""
        trainer = self.audit.trainer
        rows = [{"example": report(i, reference)} for i in range(8) for _ in completions]
        texts = [[{"role": "assistant", "content": text}] for _ in range(8) for text in completions]
        self.audit.look(rows, texts, torch.tensor([[reward(t[0]["content"])] for t in texts]))
        trainer.state.global_step += 1
        return {key: values[-1] for key, values in trainer.figures_to_log["train"].items()}

    @property
    def kinds(self):
        return [warning["kind"] for warning in self.audit.state["warnings"]]


START = [RIGHT, RIGHT, RIGHT, SHORT]


def test_the_figures_of_a_batch_are_those_counted_by_hand(tmp_path):
    examples = [report(0)] * 3 + [Example(id="q", task="vqa_open", question="?", reference="left lung")] * 3
    texts = [
        "Left effusion. Pneumothorax.",
        "Effusion.",
        "Right effusion. The heart is enlarged.",
        "left",
        "left",
        "no",
    ]
    metric = {"report": "1 - clinical_error", "vqa_open": "vqa_accuracy"}
    measured = np.array([measure(e, t, DIRECT, metric[e.task]) for e, t in zip(examples, texts, strict=True)])
    nan = float("nan")
    values = np.array([[3, 0.5, nan], [1, 0.5, nan], [2, 0.5, nan], [nan, nan, 1], [nan, nan, 1], [nan, nan, nan]])
    weights = np.array([1.0, -2.0, 1.0])
    found = batch_figures(measured, values, weights, ["report/a", "report/b", "vqa_open/c"], 3)
    words = np.array([3, 1, 6])
    wanted = np.corrcoef([3, 1, 2], words)[0, 1]
    assert found["audit/report/a/length_correlation"] == pytest.approx(wanted)
    assert found["audit/report/total/length_correlation"] == pytest.approx(wanted)
    assert (found["audit/report/a/group_std"], found["audit/report/a/zero_std"]) == (1.0, 0.0)
    assert (found["audit/report/b/group_std"], found["audit/report/b/zero_std"]) == (0.0, 1.0)
    assert "audit/report/b/length_correlation" not in found  # no spread, no correlation: never a number for it
    assert "audit/vqa_open/c/group_std" not in found  # the only group has a completion without a reward
    assert found["audit/report/words"] == pytest.approx(10 / 3)
    errors = {kind: found[f"audit/report/errors/{kind}"] for kind in KINDS}
    assert errors == pytest.approx(
        dict.fromkeys(KINDS, 0) | {"false_finding": 1 / 3, "missed_finding": 2 / 3, "wrong_side": 1 / 3}
    )


def test_the_correlation_is_within_groups_and_its_sign_is_the_rewards(tmp_path):
    # across groups the longer text has the larger reward; within each the shorter
    groups, words = np.array([[2.0, 1.0], [12.0, 11.0]]), np.array([[1.0, 2.0], [31.0, 32.0]])
    assert correlation(groups, words) == pytest.approx(-1)
    stream = Stream(tmp_path, ("report/errors",))
    stream.audit.trainer.reward_weights = -torch.ones(1)  # a scorer where lower is better
    assert stream.batch(START)["audit/report/errors/length_correlation"] == pytest.approx(-1)


@given(st.lists(st.floats(0, 1, width=32), min_size=8, max_size=8), st.integers(0, 8))
def test_whatever_the_rewards_every_figure_is_finite(values, missing):
    column = np.array([np.nan if i < missing else v for i, v in enumerate(values)])[:, None]
    measured = np.array([measure(report(0), text, DIRECT, "finding_f1") for text in (SHORT, LONG) * 4])
    found = batch_figures(measured, column, np.ones(1), ["report/x"], 4)
    assert all(np.isfinite(value) for value in found.values())
    r = found.get("audit/report/x/length_correlation", 0.0)
    assert -1 - 1e-9 <= r <= 1 + 1e-9


def test_thinking_is_no_word_and_a_silent_reference_has_no_clinical_metric():
    row = measure(
        report(0), "<think>\nmany words here\n</think>\n\nNo effusion.", PromptStyle(thinking=True), "finding_f1"
    )
    assert row[:3] == [TASKS.index("report"), 2, 7]
    row = measure(report(0, "Compared with the film of May."), RIGHT, DIRECT, "1 - clinical_error")
    assert np.isnan(row[3:]).all()
    assert np.isnan(means([group_row(np.array([[*row[1:], np.nan]] * 2))] * 4).metric).all()


def test_the_witness_on_rollouts_is_not_what_is_rewarded():
    assert metric_name("report", ["report/length"], held_out=False) == "1 - clinical_error"
    assert metric_name("report", ["report/clinical_error"], held_out=False) == "finding_f1"
    assert metric_name("report", ["report/clinical_error"], held_out=True) == "1 - clinical_error"


@pytest.mark.parametrize(
    ("later", "kinds"),
    [
        (START, []),  # as at the start
        ([LONG] * 4, ["longer answers", "more clinical errors", "clinical metric fell"]),
        ([SHORT] * 4, ["shorter answers", "more clinical errors", "clinical metric fell"]),
        ([RIGHT] * 4, []),  # a little longer and better
        (["It is a film of the chest of this patient as was asked for today."] * 4,
         ["more clinical errors", "clinical metric fell", "longer answers"]),
    ],
)  # fmt: skip
def test_length_that_the_clinical_metric_does_not_follow_is_warned_of_once(tmp_path, caplog, later, kinds):
    stream = Stream(tmp_path)
    for _ in range(5):
        stream.batch(START)
    with caplog.at_level(logging.WARNING):
        for _ in range(8):
            figures = stream.batch(later)
    assert sorted(stream.kinds) == sorted(kinds)
    assert len(caplog.messages) == len(kinds) == figures["audit/warnings"]
    if kinds:
        written = json.loads((tmp_path / "audit.json").read_text())["warnings"]
        assert [warning["kind"] for warning in written] == stream.kinds
        assert all(w["witness"] == "rollouts" and "1 - clinical_error on rollouts" in w["text"] for w in written)
        assert all(w["text"].isprintable() for w in written)


def test_answers_that_grow_and_improve_are_not_warned_of(tmp_path):
    stream = Stream(tmp_path)
    for _ in range(5):
        stream.batch([SHORT, SHORT, SHORT, RIGHT])
    for _ in range(8):
        figures = stream.batch([RIGHT] * 4)
    assert figures["audit/report/length_change"] > DRIFT
    assert stream.kinds == []


@pytest.mark.parametrize(("rise", "kinds"), [(0.13, ["longer answers", "more clinical errors"]), (0.15, [])])
def test_the_clinical_metric_follows_only_where_it_rises_by_its_standard_error(tmp_path, rise, kinds):
    errors = dict.fromkeys(KINDS, (0.0, 0.0))

    def at(length, metric):  # each mean with a standard error of 0.1: that of the difference is 0.141
        return Means((length, 0.01), (metric, 0.1), errors, (1.0, 0.0), 20.0)

    stream = Stream(tmp_path)
    change = Change(at(1.0, 0.4), at(2.0, 0.4 + rise), length=1.0, drift=True, worse=["false_finding"])
    stream.audit._judge("report", change, 7)
    assert stream.kinds == kinds


def test_longer_references_are_no_drift(tmp_path):
    stream = Stream(tmp_path)
    for _ in range(5):
        stream.batch([RIGHT] * 4)
    for _ in range(8):
        figures = stream.batch([LONG] * 4, reference=LONG)
    assert figures["audit/report/length_change"] == pytest.approx(0.0)
    assert stream.kinds == []


def test_nothing_is_said_before_the_start_is_known(tmp_path):
    stream = Stream(tmp_path)
    for _ in range(GROUPS // 8 - 1):
        assert "audit/report/length_change" not in stream.batch([SHORT] * 4)
    assert stream.batch([SHORT] * 4)["audit/report/length_change"] == 0.0


# --- real runs -------------------------------------------------------------------------------------------------------

# 4 films' reports; 4 prompts of 2 rollouts a step
RUN = (
    "data.tasks=[report]", "rewards={report: [{scorer: length}, {scorer: finding_f1}]}",
    "grpo={max_steps: 4, per_device_train_batch_size: 8, num_generations: 2, max_completion_length: 8, save_steps: 2, "
    "learning_rate: 1e-3, gradient_checkpointing: false}",
)  # fmt: skip


@pytest.fixture(scope="module")
def dev_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dev")
    phantom.write(folder, {"dev": 3}, size=64, workers=1)
    return f"data.dev=['{folder}/dev.jsonl']"


@pytest.mark.slow
def test_a_run_with_held_out_examples_equals_one_without_and_resumes_exactly(make_recipe, dev_set, monkeypatch):
    monkeypatch.setattr("radrl.training.audit.callback.GROUPS", 4)
    watched = (*RUN, dev_set, "grpo.eval_steps=3")
    bare = stages.run_grpo(make_recipe(*RUN, "out=bare"))
    unbroken = stages.run_grpo(make_recipe(*watched))
    on_step_end = Progress.on_step_end

    def stop(self, args, state, control, **kwargs):
        on_step_end(self, args, state, control, **kwargs)
        if state.global_step == 3:
            raise KeyboardInterrupt

    recipe = make_recipe(*watched, "out=broken")
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            stages.run_grpo(recipe)
    resumed = stages.run_grpo(recipe, resume=True)

    one, two, three = ((s.model / "model.safetensors").read_bytes() for s in (bare, unbroken, resumed))
    assert one == two  # the held-out Examples left no trace
    assert two == three
    assert (unbroken.folder / "audit.json").read_text() == (resumed.folder / "audit.json").read_text()
    ours = [[{k: v for k, v in row.items() if "audit/" in k} for row in s.log()] for s in (unbroken, resumed)]
    assert ours[0] == ours[1]
    steps = [row["step"] for row in unbroken.log() if "audit/dev/report" in row]
    assert steps == [0, 3, 4]
    rows = [row for row in unbroken.log() if "reward" in row]
    assert all(row["audit/report/length/length_correlation"] == pytest.approx(1) for row in rows)
    for row in rows:  # as the trainer saw it
        assert row["audit/report/words"] == pytest.approx(row["rewards/report/length/mean"])


@pytest.mark.slow
def test_two_processes_audit_all_rollouts_and_all_held_out_examples(make_recipe, dev_set):
    once = (*RUN, dev_set, "grpo.max_steps=1", "grpo.per_device_train_batch_size=4")
    alone, recipe = stages.run_grpo(make_recipe(*once, "out=alone")), make_recipe(*once, "out=two")
    file = recipe.path("two.yaml")
    file.write_text(recipe.to_yaml())
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "radrl"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([*command, "grpo", str(file)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = recipe.path("two") / "grpo"
    step = next(row for row in json.loads((folder / "log.json").read_text()) if "reward" in row)
    assert step["audit/report/words"] == pytest.approx(step["rewards/report/length/mean"])  # TRL's is over all
    looks = [json.loads((f / "audit.json").read_text())["dev"][0] for f in (alone.folder, folder)]
    assert looks[0] == looks[1]  # before the first step both hold the same model


def test_dev_that_is_not_held_out_or_not_trained_is_refused(make_recipe, phantom_set, dev_set, refusal):
    same = make_recipe(*RUN, f"data.dev=['{phantom_set}/train.jsonl']")
    message = refusal(stages.run_grpo, same)
    assert "key 'data.dev'" in message
    assert "hold it out" in message
    other = make_recipe(*RUN, dev_set)
    train, dev = stages.load_examples(other), stages.load_examples(other, "dev")
    assert "no Example of a task that is trained" in refusal(Dev, other, dev, train.take([]), DIRECT)


def test_the_standard_error_on_dev_is_over_patients(make_recipe, dev_set):
    recipe = make_recipe(*RUN, dev_set)
    dev = Dev(recipe, stages.load_examples(recipe, "dev"), stages.load_examples(recipe), DIRECT)
    before, after = {"report": [0.0, 0.5, None]}, {"report": [0.5, 0.5, 1.0]}
    assert dev.change("report", before, after) == pytest.approx((0.25, 0.5, 0.25))
