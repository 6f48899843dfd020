"""The page of a run while it trains: what its files say, stopped, killed, resumed and ended; a browser shows it."""

from __future__ import annotations

import json
import os
import time

import pytest
from browser import PROGRAM, Browser
from small_grpo import RUN
from typer.testing import CliRunner

from radrl.commands import train
from radrl.commands.load_recipe import load_recipe
from radrl.commands.main import app
from radrl.commands.watch import PAGE, find_stage, read_run, watch
from radrl.errors import UserError
from radrl.output.page.watch_page import write_watch_page
from radrl.training.run_folder import stage_folder
from radrl.training.run_folder.live_log import FILE
from radrl.training.stage import Progress


@pytest.fixture(scope="module")
def stopped(phantom_set, tmp_path_factory):
    """A GRPO run that was stopped at step 5 of 6, its last checkpoint that of step 4; and its recipe."""
    file = tmp_path_factory.mktemp("watched") / "recipe.yaml"
    file.write_text(
        f"out: run\nmodel: {{start: tiny, image_size: 64}}\ndata: {{train: ['{phantom_set}/train.jsonl']}}\n"
    )
    recipe = load_recipe(file, [*RUN, "samples_every=2"])
    on_step_end = Progress.on_step_end

    def stop(self, args, state, control, **kwargs):
        on_step_end(self, args, state, control, **kwargs)
        if state.global_step == 5:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train.run_grpo(recipe)
    return recipe, recipe.path(recipe.out) / "grpo"


def test_a_run_as_its_files_tell_it(stopped):
    _, stage = stopped
    run = read_run(stage)
    assert (run.kind, run.exit, run.done, run.total, run.unit) == ("GRPO", "interrupted", 4, 6, "steps")
    saved = json.loads((stage / "checkpoint-4" / "trainer_state.json").read_text())["log_history"]
    figures = [{key: row[key] for key in ("step", "loss", "reward")} for row in run.logs]
    assert figures == [{key: row[key] for key in ("step", "loss", "reward")} for row in saved]
    (a, *_, b) = run.logs
    assert run.left == pytest.approx(2 * (b["seconds"] - a["seconds"]) / 3)
    assert [group["step"] for group in run.samples] == [4, 4, 2, 2, 1, 1]
    assert run.silent is None
    (stage / FILE).rename(stage / "away")  # of a run of an earlier version: what the last checkpoint holds
    assert [row["loss"] for row in read_run(stage).logs] == [row["loss"] for row in saved]
    (stage / "away").rename(stage / FILE)


def test_a_killed_run_is_said_to_be_silent(stopped, tmp_path):
    _, stage = stopped
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("run.json", FILE):
        (killed / name).write_bytes((stage / name).read_bytes())
    record = json.loads((killed / "run.json").read_text())
    record["starts"][-1]["exit"] = None
    (killed / "run.json").write_text(json.dumps(record))
    with (killed / FILE).open("a") as torn:
        torn.write('{"step": 5, "lo')
    for file in killed.iterdir():
        os.utime(file, (time.time() - 3600,) * 2)
    run = read_run(killed)
    assert run.silent == pytest.approx(3600, abs=60)
    assert len(run.logs) == 4
    assert "Nothing has been written for 60 min" in watch(killed, 1, once=True).read_text()


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium here")
def test_a_browser_shows_it_and_reads_it_again(stopped, tmp_path):
    _, stage = stopped
    page = watch(stage.parent, 1, once=True)
    assert page == stage.parent / PAGE
    write_watch_page(page, read_run(stage), 0.3, f"{stage.name}/")
    tab = Browser(tmp_path / "profile")
    try:
        tab.open(page)
        assert tab.value("document.querySelectorAll('.group').length") == 6
        assert tab.value("[...document.images].every((one) => one.naturalWidth === 64)")
        assert tab.value("document.querySelectorAll('.curves figure').length") > 4
        tab.value("window.old = true")
        tab.wait("!window.old && document.readyState === 'complete'", 5)
        tab.value("window.old = true; document.getElementById('again').click()")
        time.sleep(1)
        assert tab.value("window.old")
        assert tab.complaints == []
    finally:
        tab.close()


def test_it_ends_with_the_run_and_the_log_is_whole(stopped):
    recipe, stage = stopped
    train.run_grpo(recipe, resume=True)
    assert not (stage / FILE).exists()
    run = read_run(stage)
    log = json.loads((stage / "log.json").read_text())
    assert (run.exit, run.done) == ("finished", 6)
    assert run.logs == log
    assert watch(stage, 1).read_text().count("Ended: finished") == 1  # it does not wait
    stage_folder.clear(stage)  # as --restart does
    assert not (stage / PAGE).exists()


def test_hostile_texts_and_lines_changed_by_hand(tmp_path):
    bad = '"><script>alert(1)</script>\x1b\u202e'
    good = {"step": 3, "id": bad, "task": bad, "prompt": bad, "reference": bad, "boxes": [[0, 0, 1, 1, bad]]}
    good |= {"pictures": ["samples/../../x.jpg", "samples/a.jpg"]}
    good |= {"completions": [{"text": bad, "scores": {bad: 1.0, "none": None}, "advantage": None}]}
    lines = [good, {"step": "x"}, [], {**good, "boxes": [["a"]]}, {**good, "completions": 3}]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "{torn")
    (tmp_path / "run.json").write_text(json.dumps({"starts": [{"start": bad, "kind": bad, "examples": {bad: 1}}]}))
    (tmp_path / "audit.json").write_text(json.dumps({"warnings": [{"text": bad}, 7]}))
    text = watch(tmp_path, 1, once=True).read_text()
    assert text.count('class="group"') == 1
    assert "<script>alert" not in text
    assert not {"\x1b", "\u202e"} & set(text)
    assert 'src="samples/a.jpg"' in text


def test_where_there_is_no_run(tmp_path):
    with pytest.raises(UserError, match="no run"):
        find_stage(tmp_path)
    assert CliRunner().invoke(app, ["watch", str(tmp_path), "--every", "0"]).exit_code == 2
