"""The audit of a GRPO run: do the rewards pay for length or for errors, and not for what they are meant to improve?

RadGraph-F1 alone teaches a model to say little: mean length fell from 207 to 93 characters while every other metric
dropped (arXiv 2512.10691). So every rollout batch is looked at (figures.py), and a warning is given, once for
each task, kind and direction (judging.py):

- *longer* or *shorter answers*: their length, relative to their references', has risen or fallen by more than 40%
  since the start, and by at least two words, and the clinical metric has not followed: its mean has not improved by at
  least its standard error;
- *more clinical errors*: a kind of error (false findings, missed findings, wrong side ...) has become more frequent,
  and the clinical metric has not followed, as above;
- *clinical metric fell*: its mean is below that of the start.

Length, errors and fall count only beyond four standard errors of their change.

The start is a task's first 32 groups (whole rollout batches), now its last as many: a moving average. Length is the
words of all completions, thinking excluded, over the words of their references, so that a batch of sicker patients is
no drift. The clinical metric is 1 - clinical_error for reports, soft_f1 for boxes, vqa_accuracy for questions. Its
witness is the held-out ``data.dev`` (held_out/dev.py), each Example against itself before the first step, or, where the
recipe has none, the rollouts; there finding_f1 stands in for a rewarded clinical_error. Standard errors are over
patients on dev and over groups on rollouts.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from radrl.example import TASKS, Answer, Task
from radrl.models.library_internals import GRPOSteps
from radrl.prompt.messages import PromptStyle
from radrl.scoring.completions import completion_text
from radrl.support.files import write_json
from radrl.training.audit import figures
from radrl.training.audit.judging import Change, Warned, Witness, change_between, warnings_of
from radrl.training.grpo_rows import steps_of_rollout
from radrl.training.held_out.dev import Dev, task_means
from radrl.training.stage import checkpoint_at

log = logging.getLogger(__name__)

GROUPS = 32  # groups of a task that make the start, and the moving average
FILE = "audit.json"


class Audit(TrainerCallback):
    """Watches one GRPO run: logs figures under ``audit/``, warns, and keeps warnings and dev values in audit.json.

    ``trainer`` is set once there is one. Draws no random numbers; its state is in each checkpoint, so that a resumed
    run says what an unbroken one does. All processes hold the same state.
    """

    trainer: GRPOSteps

    def __init__(
        self, folder: Path, style: PromptStyle, rewards: Sequence[str], dev: Dev | None, checkpoint: Path | None
    ) -> None:
        self.folder, self.style, self.dev = folder, style, dev
        held_out = dev.tasks if dev else ()
        self.metric: dict[Task, str] = {
            task: figures.metric_name(task, rewards, held_out=task in held_out) for task in TASKS
        }
        self.state: dict[str, Any] = {"start": {}, "now": {}, "full": [], "asked": [], "dev": [], "warnings": []}
        if checkpoint is not None:
            if (checkpoint / FILE).is_file():
                self.state = json.loads((checkpoint / FILE).read_text())
            else:
                log.warning("%s: no audit of the steps before; it begins anew here", checkpoint)

    # --- every rollout batch -----------------------------------------------------------------------------------------

    def look(self, inputs: Sequence[dict[str, Any]], completions: Sequence[Any], rewards: torch.Tensor) -> None:
        """Takes in a rollout batch: this process's rows and completions, and all processes' ``rewards`` (rows,
        functions) before weighting, NaN for None. Rows of a group are next to each other, as TRL has them."""
        trainer, size = self.trainer, self.trainer.num_generations
        rows = []
        for row, completion in zip(inputs, completions, strict=True):
            example = row["example"]
            metric = self.metric[example.task]
            rows.append(figures.measure(example, completion_text(completion), self.style, metric, row.get("size")))
        gathered = cast(torch.Tensor, trainer.accelerator.gather(torch.tensor(rows, device=rewards.device)))
        measured, values, weights = (x.double().cpu().numpy() for x in (gathered, rewards, trainer.reward_weights))
        by_key = figures.batch_figures(measured, values, weights, trainer.reward_func_names, size)
        table = np.column_stack([measured[:, figures.WORDS :], figures.weighted_total(values, weights)])
        groups = table.reshape(-1, size, table.shape[1])
        tasks = measured[::size, figures.TASK].astype(int)
        for number in np.unique(tasks):
            self._remember(TASKS[number], [figures.group_row(group) for group in groups[tasks == number]])
        for task in self.state["full"]:
            change = self._change(task)
            by_key[f"audit/{task}/length_change"] = change.length
            if not self._held_out(task):
                self._judge(task, change, trainer.state.global_step + 1)
        self._log({**by_key, "audit/warnings": float(len(self.state["warnings"]))})

    def _log(self, by_key: dict[str, float]) -> None:
        for key, value in by_key.items():
            self.trainer.figures_to_log["train"][key].append(value)

    def _remember(self, task: Task, groups: list[figures.Group]) -> None:
        start, now = self.state["start"].setdefault(task, []), self.state["now"].setdefault(task, [])
        if task not in self.state["full"]:
            start += groups
            if len(start) >= GROUPS:
                self.state["full"].append(task)
        now += groups
        del now[: -len(start)]

    # --- warnings ----------------------------------------------------------------------------------------------------

    def _held_out(self, task: Task) -> bool:
        return self.dev is not None and task in self.dev.tasks

    def _change(self, task: Task) -> Change:
        return change_between(self.state["start"][task], self.state["now"][task])

    def _judge(self, task: Task, change: Change, step: int) -> None:
        """Warns of what has changed since the start where the clinical metric does not speak for it."""
        if self._held_out(task):
            assert self.dev is not None
            first, last = (self.state["dev"][k]["values"] for k in (0, -1))
            witness = Witness(self.metric[task], "held-out Examples of data.dev", *self.dev.change(task, first, last))
        else:
            before, after = change.start.metric, change.now.metric
            error = math.hypot(before[1], after[1])
            witness = Witness(self.metric[task], "rollouts", before[0], after[0], error)
        for warned in warnings_of(task, change, witness, step):
            self._warn(task, warned)

    def _warn(self, task: Task, warned: Warned) -> None:
        if any((known["kind"], known["task"]) == (warned.kind, task) for known in self.state["warnings"]):
            return
        self.state["warnings"].append({"kind": warned.kind, **warned.evidence, "text": warned.text})
        if self.trainer.is_world_process_zero():
            log.warning("audit, step %d: %s", warned.evidence["step"], warned.text)
            self._write()

    # --- held-out Examples, the file, checkpoints --------------------------------------------------------------------

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.dev is not None and not self.state["dev"] and not args.eval_on_start:
            self.trainer.evaluate()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.dev is None:
            return
        changes = {task: self._change(task) for task in self.state["full"] if self._held_out(task)}
        odd = {task for task, change in changes.items() if change.odd}
        new = sorted(odd - set(self.state["asked"]))
        if new and state.global_step % steps_of_rollout(self.trainer.args) == 0:  # the best checkpoint may come of it
            self.state["asked"] += new
            control.should_evaluate = True  # what is seen first does not wait for the next round

    def look_at_dev(self, answers: Sequence[Answer]) -> dict[str, float]:
        """Takes in the answers to the held-out Examples and judges; returns their clinical metrics by log key."""
        assert self.dev is not None  # else nobody has answered
        step, values = self.trainer.state.global_step, self.dev.values(answers, self.metric)
        earlier = [look for look in self.state["dev"] if look["step"] < step]
        self.state["dev"] = [*earlier, {"step": step, "values": values}]
        if self.trainer.is_world_process_zero():
            self._write()
        for task in self.state["full"]:
            if self._held_out(task):
                self._judge(task, self._change(task), step)
        return {f"audit/dev/{task}": mean for task, mean in task_means(values).items()}

    def _write(self) -> None:
        looks = [{"step": look["step"], **task_means(look["values"])} for look in self.state["dev"]]
        write_json(self.folder / FILE, {"warnings": self.state["warnings"], "metric": self.metric, "dev": looks})

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            write_json(checkpoint_at(args, state) / FILE, self.state)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self._write()
