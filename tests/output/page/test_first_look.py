"""The first screen says what is there and no more; its plots are files of their own; no serious fault of access."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import synthetic
from browser import PROGRAM, Browser

from radrl.evaluation.metrics.score_cases import score_cases
from radrl.evaluation.statistics.comparison import compare
from radrl.output.page.evaluation_page import write_page
from radrl.output.page.first_look import Training, duration, first_look
from radrl.output.page.pictures import make_pictures
from radrl.output.tables import count_below

TRAINING = {
    "SFT": Training("sft", 640, 121.4, 15600, 2600, "tiny", "CPU"),
    "GRPO": Training("grpo", 80, 52.8, 7200, 600, "SFT", "CPU"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict:
    return synthetic.make(tmp_path_factory.mktemp("made"))


def look(made: dict, tmp_path: Path, training=TRAINING, **changed):
    made = {**made, **changed}
    pictures = make_pictures(tmp_path / "p.html", made["examples"], made["image_roots"])
    answers, scores = made["answers_by_model"], made["scores_by_model"]
    return first_look(made["comparison"], made["examples"], answers, scores, pictures, training)


def only(made: dict, *names: str, base: str) -> dict:
    """Returns the made-up run with these models only."""
    scores = {name: made["scores_by_model"][name] for name in names}
    baselines = [name for name in names if name == "trivial baseline"]
    comparison = compare(made["examples"], scores, base, baselines=baselines, samples=100)
    answers = {name: made["answers_by_model"][name] for name in names}
    return {"comparison": comparison, "scores_by_model": scores, "answers_by_model": answers}


def test_it_says_of_rl_what_the_comparison_says(made, tmp_path):
    found = look(made, tmp_path)
    assert (found.rl, found.subjects, found.left_out) == (True, ["GRPO"], 0)
    (verdict,) = found.verdicts
    cells = made["comparison"].cells["GRPO"]
    ways = [d.way for m in made["comparison"].headline if m.better != "neither" for d in cells[m.name].differences]
    assert [verdict.better, verdict.worse, verdict.unclear] == [ways.count(w) for w in ("better", "worse", "unclear")]
    d = cells["finding_f1"].differences[0]
    assert verdict.main == f"Report: finding F1 {d.mean:+.3f} ({d.low:+.3f} to {d.high:+.3f})".replace("-", "\u2212")
    (plot,) = found.plots
    (row, *_) = plot.rows
    assert row.low < row.mean < row.high
    assert (row.mean > plot.zero) == (d.mean > 0)
    assert [(t.model, t.how, t.steps, t.on, t.time) for t in found.trained] == [
        ("SFT", "SFT from tiny", "640", ["2,600 films", "15,600 Examples"], "2 min 01 s"),
        ("GRPO", "GRPO from SFT", "80", ["600 films", "7,200 Examples"], "53 s"),
    ]
    assert found.total_seconds == "2 min 54 s"


def test_what_goes_wrong_is_counted_as_in_the_table(made, tmp_path):
    wrong = {one.title: one.items for one in look(made, tmp_path).wrong}
    counts = made["comparison"].findings["GRPO"]
    missed = wrong["Missed findings, of those there"]
    assert missed[0][1] == max(c.missed for c in counts.values())
    name, count, of = wrong["False findings, of those said"][0]
    assert (count, of) == (counts[name].false, counts[name].match + counts[name].false)


def test_the_film_is_of_median_score(made, tmp_path):
    found = look(made, tmp_path).film
    values = made["scores_by_model"]["GRPO"].columns["finding_f1"].by_case
    reports = sorted(v for v, e in zip(values, made["examples"], strict=True) if e.task == "report")
    shown = values[[e.id for e in made["examples"]].index(found.name)]
    assert shown == reports[(len(reports) - 1) // 2]
    assert len(found.boxes) == len(found.answered) == 1
    assert {p.kind for p in found.texts[0].pieces} >= {"match"}


def test_a_value_below_a_baseline_has_a_mark(made, tmp_path):
    scores = {name: made["scores_by_model"][name] for name in ("trivial baseline", "SFT")}
    comparison = compare(made["examples"], scores, "trivial baseline", baselines=["SFT"], samples=100)
    answers = {name: made["answers_by_model"][name] for name in scores}
    write_page(
        tmp_path / "p.html",
        **made | {"comparison": comparison, "scores_by_model": scores, "answers_by_model": answers},
    )
    text = (tmp_path / "p.html").read_text()
    below, of = count_below(comparison, comparison.headline)
    table = text[text.index('<table class="headline') :].partition("</table>")[0]
    assert table.count("†</abbr>") == below > 3
    assert f"not trained: {below} of {of}." in table
    assert f"{below} of {of} values of the first table do not reach a baseline" in text


@pytest.mark.parametrize(
    ("names", "base", "asked"),
    [
        (("SFT",), "SFT", "How good is it?"),
        (("trivial baseline", "SFT"), "SFT", "How good is it?"),
        (("SFT", "GRPO"), "SFT", "Which is better?"),  # of other people: nothing of their training is known
    ],
)
def test_without_rl_or_a_second_model(made, tmp_path, names, base, asked):
    part = {**made, **only(made, *names, base=base), "logs_by_stage": {}}
    write_page(tmp_path / "p.html", **part)
    text = (tmp_path / "p.html").read_text()
    first = text[text.index('id="glance"') : text.index('id="result"')]
    assert asked in first
    for absent in ("Did RL help", "What was trained", "n/a", "None", "nan"):
        assert absent not in re.sub(r"base64,[^\"]*", "", first)
    assert ("not reach a baseline" in first or "reach the baselines" in first) == ("trivial baseline" in names)


def test_hundreds_of_models(made, tmp_path):
    names = [f"model {k}" for k in range(200)]
    scores = dict(zip(names, [made["scores_by_model"]["GRPO"]] * 200, strict=True))
    comparison = compare(made["examples"], scores, names[0], baselines=(), samples=20)
    answers = dict.fromkeys(names, made["answers_by_model"]["GRPO"])
    found = look(made, tmp_path, {}, comparison=comparison, scores_by_model=scores, answers_by_model=answers)
    assert (found.subjects, found.left_out, len(found.plots)) == (["model 1", "model 2"], 197, 2)
    assert [v.word for v in found.verdicts] == ["unclear"] * 2


def test_each_plot_is_a_file_of_its_own(made, tmp_path):
    write_page(tmp_path / "p.html", **made, training=TRAINING)
    text = (tmp_path / "p.html").read_text()
    files = re.findall(r'href="data:image/svg\+xml;base64,([^"]+)" download="([^"]+)"', text)
    assert len(files) == text.count('<figcaption class="chart">')
    for content, name in files:
        root = ElementTree.fromstring(base64.b64decode(content))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert re.fullmatch(r"[\w.-]+\.svg", name)
    assert "var(--" not in base64.b64decode(files[0][0]).decode()


def test_durations():
    said = [duration(s) for s in (0.4, 52.8, 89.6, 119.7, 5399, 5401, 7260)]
    assert said == ["0 s", "53 s", "90 s", "2 min 00 s", "89 min 59 s", "1 h 30 min", "2 h 01 min"]


AXE = Path(os.environ.get("AXE_CORE", "axe.min.js"))
RUN = (
    "axe.run().then(r => JSON.stringify(r.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.target.join(' '))])))"
)


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium here")
@pytest.mark.skipif(
    not AXE.is_file(), reason="axe-core is not here (npm install axe-core; AXE_CORE names its axe.min.js)"
)
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(made, tmp_path, width, scheme):
    write_page(tmp_path / "p.html", **made, training=TRAINING)
    tab = Browser(tmp_path / "profile", width=width)
    try:
        tab.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.open(tmp_path / "p.html")
        assert tab.value("document.documentElement.scrollWidth") <= width  # nothing hangs over the edge
        tab.ask("Runtime.evaluate", expression=AXE.read_text())
        answer = tab.ask("Runtime.evaluate", expression=RUN, awaitPromise=True, returnByValue=True)
        assert json.loads(answer["result"]["value"]) == []
        assert tab.complaints == []
    finally:
        tab.close()


def test_scores_of_a_task_without_films(made, tmp_path):
    rows = [i for i, e in enumerate(made["examples"]) if e.task == "vqa_open"][:30]
    examples = [made["examples"][i].model_copy(update={"images": ()}) for i in rows]
    answers = {"SFT": [made["answers_by_model"]["SFT"][i] for i in rows]}
    scores = {"SFT": score_cases(examples, [answers["SFT"]])}
    comparison = compare(examples, scores, "SFT", samples=50)
    part = {"comparison": comparison, "examples": examples, "answers_by_model": answers, "scores_by_model": scores}
    found = look(made, tmp_path, {}, **part, image_roots=[tmp_path] * 30)
    assert found.film is None
    assert found.trained == []
