"""Samples of a GRPO run: what TRL itself logs of the same steps, whole after a kill, with pictures one can open."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from PIL import Image
from small_grpo import RUN

from radrl.commands import train
from radrl.prompt.messages import PromptStyle
from radrl.training.run_folder.samples import FILE, Samples
from radrl.training.stage import Progress


def groups(stage):
    return [json.loads(line) for line in (stage.folder / FILE).read_text().splitlines()]


def test_samples_are_what_trl_logs_and_a_resumed_run_has_them_once(make_recipe, monkeypatch, examples):
    run = (*RUN, "samples_every=2", "grpo.save_steps=3", "grpo.log_completions=true")
    unbroken = train.run_grpo(make_recipe(*run))
    found = groups(unbroken)
    assert [group["step"] for group in found] == [1, 1, 2, 2, 4, 4, 6, 6]
    for step in (1, 4):
        logged = pd.read_parquet(unbroken.folder / "completions" / f"completions_{step:05d}.parquet")
        mine = [completion for group in found if group["step"] == step for completion in group["completions"]]
        assert [one["text"] for one in mine] == logged["completion"].tolist()
        assert [one["advantage"] for one in mine] == logged["advantage"].tolist()
        for name in mine[0]["scores"]:
            assert [one["scores"][name] for one in mine] == [None if v != v else v for v in logged[name]]
    asked = {example.id: example for example in examples}
    for group in found:
        example = asked[group["id"]]
        assert group["images"] == list(example.images)
        assert group["prompt"].startswith("user: [image]")
        assert example.question in group["prompt"]
        assert [Image.open(unbroken.folder / path).size for path in group["pictures"]] == [(64, 64)]

    broken = make_recipe(*run, "out=broken")
    on_step_end = Progress.on_step_end

    def stop(self, args, state, control, **kwargs):
        on_step_end(self, args, state, control, **kwargs)
        if state.global_step == 5:  # the last checkpoint is that of step 3
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train.run_grpo(broken)
    file = broken.path("broken") / "grpo" / FILE
    with file.open("a") as torn:
        torn.write('{"step": 6, "id": ')
    resumed = train.run_grpo(broken, resume=True)
    assert (resumed.folder / FILE).read_bytes() == (unbroken.folder / FILE).read_bytes()


def test_no_text_of_the_data_is_written_unasked(make_recipe):
    folder = train.run_grpo(make_recipe(*RUN, "grpo.max_steps=1")).folder
    assert not (folder / FILE).exists()
    assert not (folder / "completions").exists()


def test_lines_of_the_steps_before_the_checkpoint_are_kept_byte_for_byte(tmp_path):
    kept = [f'{{"step": {step}, "text": "a\u2028b\x85c"}}\n'.encode() for step in (1, 3)]  # ends of lines to str alone
    (tmp_path / FILE).write_bytes(b"".join([*kept, b'{"step": 4}\n', b'{"step": 2']))
    Samples(tmp_path, PromptStyle(), 1, tmp_path / "checkpoint-3")
    assert (tmp_path / FILE).read_bytes() == b"".join(kept)


@pytest.mark.parametrize(
    ("every", "steps", "due"),
    [(3, 1, [1, 3, 6, 9, 12]), (10, 4, [1, 9]), (2, 4, [1, 5, 9, 13]), (1, 1, list(range(1, 15)))],
)
def test_a_rollout_is_written_where_it_serves_an_nth_step(tmp_path, every, steps, due):
    samples = Samples(tmp_path, PromptStyle(), every, None)
    rollouts = [step for step in range(1, 15, steps) for _ in range(2)]  # two rollouts a step: the first is written
    assert [step for step in rollouts if samples.due(step, steps)] == due
