"""The page: one file, nothing from outside, hostile text harmless, rendered by a real browser."""

from __future__ import annotations

import html.parser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import synthetic

from radrl import page
from radrl.evaluation.comparison import compare
from radrl.evaluation.metrics import MAIN, ModelScores
from radrl.example import Mark
from radrl.page.cases import choose
from radrl.page.charts import nice_ticks, running_mean
from radrl.page.text import clean, pieces

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}\ud800\x00\x1b\u202e&amp;"
VOID = {"meta", "img", "input", "br", "line", "rect"}


class Reader(html.parser.HTMLParser):
    """Collects tags and attributes, and checks that every element that is opened is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    page.write(folder / "page.html", **synthetic.make(folder))
    return folder / "page.html"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    page.write(folder / "page.html", **synthetic.make(folder, hostile=HOSTILE))
    return folder / "page.html"


@pytest.mark.parametrize("name", ["written", "hostile"])
def test_one_file_well_formed_and_nothing_from_outside(name, request):
    text = request.getfixturevalue(name).read_text(encoding="utf-8")
    reader = Reader(text)
    assert reader.open == []
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in reader.tags:
        assert not [key for key in attributes if key.startswith("on") or key == "style"], tag
        for key in ("src", "href", "action", "srcset", "xlink:href"):
            assert re.match(r"#[a-z-]+$|data:image/png;base64,", attributes.get(key) or "#x"), (tag, attributes)
    assert "url(" not in text
    assert "@import" not in text
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    policy = next(a["content"] for _, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_hostile_text_is_shown_as_text(hostile):
    text = hostile.read_text(encoding="utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\u202e]", text)
    assert "".join(Reader(text).text).count("<script>alert(1)</script>") > 100  # escaped once, and only once
    assert "{{ 7*7 }}" in text


def test_the_same_input_gives_the_same_file(written, tmp_path):
    page.write(tmp_path / "again.html", **synthetic.make(tmp_path))
    assert (tmp_path / "again.html").read_bytes() == written.read_bytes()


def test_a_page_of_little_is_still_a_page(tmp_path):
    made = synthetic.make(tmp_path)
    rows = [i for i, e in enumerate(made["examples"]) if e.task == "vqa_open"][:5]
    examples = [made["examples"][i].model_copy(update={"images": ("gone.png",)}) for i in rows]
    own = made["scores_by_model"]["SFT"]
    scores = ModelScores(
        {name: values[rows] for name, values in own.values.items()},
        {name: [found[i] for i in rows] for name, found in own.scores.items()},
    )
    comparison = compare(examples, {"SFT": scores}, "SFT", samples=20)
    answers = [made["answers_by_model"]["SFT"][i] for i in rows]
    page.write(tmp_path / "p.html", comparison, examples, {"SFT": answers}, {"SFT": scores}, {}, [tmp_path] * 5, {})
    text = (tmp_path / "p.html").read_text()
    assert Reader(text).open == []
    assert text.count('<article class="case"') == 5
    assert text.count("image gone.png cannot be read") == 5
    with pytest.raises(ValueError, match="answers and scores must be of the compared models"):
        page.write(tmp_path / "p.html", comparison, examples, {}, {"SFT": scores}, {}, [tmp_path] * 5, {})


def test_cases_of_one_patient_have_a_mean_and_a_dash(tmp_path):
    made = synthetic.make(tmp_path, patients=1)
    page.write(tmp_path / "p.html", **made)
    text = (tmp_path / "p.html").read_text()
    assert Reader(text).open == []
    cells = [cell for row in made["comparison"].cells.values() for cell in row.values() if cell]
    assert text.count("<span>–</span>") == len(cells)
    assert 'id="differences"' not in text


def test_cases_represent_all_tasks_and_half_of_them_are_disputed(tmp_path):
    made = synthetic.make(tmp_path)
    examples, scores = made["examples"], made["scores_by_model"]
    chosen = choose(examples, scores, 12, seed=0)
    tasks = [examples[c.index].task for c in chosen]
    assert [tasks.count(task) for task in MAIN] == [5, 4, 2, 1]
    assert len({examples[c.index].patient for c in chosen}) == 12
    assert chosen != choose(examples, scores, 12, seed=1)
    values = [s.values["finding_f1"] for s in scores.values()]
    spread = [
        max(v[i] for v in values) - min(v[i] for v in values) for i, e in enumerate(examples) if e.task == "report"
    ]
    first = chosen[0].index
    assert max(v[first] for v in values) - min(v[first] for v in values) == max(spread)


def test_pieces_joined_are_the_text_and_errors_win():
    marks = [Mark("answer", 0, 5, "match"), Mark("answer", 3, 8, "false", "why"), Mark("answer", 7, 99, "absent")]
    found = pieces("0123456789", marks)
    kinds = [("012", "match"), ("34", "false"), ("56", "false"), ("7", "false"), ("89", "absent")]
    assert [(p.text, p.kind) for p in found] == kinds
    assert "".join(p.text for p in found) == "0123456789"
    assert pieces("", marks) == []


def test_clean_keeps_length_and_line_ends():
    assert clean("a\r\n\tb\ud800\x07") == "a \n\tb\ufffd\ufffd"


def test_ticks_and_running_mean():
    assert nice_ticks(0.03, 0.97, 4) == [0.0, 0.5, 1.0]
    assert nice_ticks(-0.2, 0.31, 5) == [-0.2, 0.0, 0.2, 0.4]
    assert nice_ticks(2.0, 2.0, 4)[0] < 2.0 < nice_ticks(2.0, 2.0, 4)[-1]
    assert running_mean([(1, 1.0), (2, 3.0), (3, 5.0)], 2) == [(1, 1.0), (2, 2.0), (3, 4.0)]


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here (looked for chromium, chromium-browser, google-chrome)")
@pytest.mark.parametrize("name", ["written", "hostile"])
def test_a_browser_renders_it_without_complaint(name, request, tmp_path):
    path = request.getfixturevalue(name)
    quiet = "--no-first-run --disable-background-networking --disable-component-update --disable-sync"
    command = [BROWSER, *f"--headless --no-sandbox --disable-gpu {quiet} --enable-logging=stderr --v=0".split()]
    done = subprocess.run(
        [*command, f"--user-data-dir={tmp_path}", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert len(re.findall('<article class="case"', done.stdout)) == 12
    assert "<script" not in done.stdout
    assert "CONSOLE" not in done.stderr, done.stderr  # a blocked style or a script error is logged there
