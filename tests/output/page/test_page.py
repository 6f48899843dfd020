"""The page: one file, nothing from outside, hostile text harmless, rendered by a real browser."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path

import pytest
import synthetic
from browser import PROGRAM, Browser

from radrl.answers.parsing import parse
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.evaluation.statistics.comparison import compare
from radrl.example import Example, Mark
from radrl.output.page.charts import nice_ticks, running_mean
from radrl.output.page.evaluation_page import write_page
from radrl.output.page.text import clean, pieces
from radrl.prompt.messages import PromptStyle

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
    write_page(folder / "page.html", **synthetic.make(folder))
    return folder / "page.html"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write_page(folder / "page.html", **synthetic.make(folder, hostile=HOSTILE))
    return folder / "page.html"


def shown(path: Path) -> dict:
    """Returns the data of the case browser."""
    return json.loads(re.search('<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.S)[1])


@pytest.mark.parametrize("name", ["written", "hostile"])
def test_one_file_well_formed_and_nothing_from_outside(name, request):
    text = request.getfixturevalue(name).read_text(encoding="utf-8")
    reader = Reader(text)
    assert reader.open == []
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"link", "iframe", "object", "embed", "base", "form"}
    scripts = [attributes for tag, attributes in reader.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "data"}, {}]
    for tag, attributes in reader.tags:
        assert not [key for key in attributes if key.startswith("on") or key == "style"], tag
        for key in ("src", "href", "action", "srcset", "xlink:href"):
            inside = r"#[a-z-]+$|data:image/(svg\+xml|png);base64,[A-Za-z0-9+/=]+$"
            assert re.match(inside, attributes.get(key) or "#x"), (tag, attributes)
    assert "url(" not in text
    assert "@import" not in text
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    policy = next(a["content"] for _, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|XMLHttp", script)


def test_hostile_text_is_shown_as_text(hostile):
    text = hostile.read_text(encoding="utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\u202e]", text)
    assert "".join(Reader(text).text).count("<script>alert(1)</script>") > 50  # escaped once, and only once
    assert "{{ 7*7 }}" in text
    assert "<script>alert(1)</script>" in shown(hostile)["cases"][0]["q"]


def test_the_browser_has_every_case(written, tmp_path):
    data, made = shown(written), synthetic.make(tmp_path)
    assert [case["id"] for case in data["cases"]] == [example.id for example in made["examples"]]
    for k, case in enumerate(data["cases"]):
        beside = [clean(made["answers_by_model"][model][k].text) for model in data["models"]]
        assert [answer["t"] for answer in case["a"]] == beside
    report = data["cases"][0]
    for model, answer in zip(data["models"], report["a"], strict=True):
        own = made["answers_by_model"][model][0]
        assert answer["t"] == own.text
        assert sum(run[0] for run in answer["m"]) == len(own.text)
        assert sum(run[0] for run in answer["r"]) == len(report["r"])
        assert bool(answer["e"]) == (own.text != synthetic.REPORT)
        values = dict(zip((m[0] for m in data["tasks"][0]["metrics"]), answer["v"], strict=True))
        assert values["finding F1"] == round(made["scores_by_model"][model].columns["finding_f1"].by_case[0], 4)
    assert data["cases"][2]["b"][0][:2] == [120.0, 600.0]  # x of 1000, y of the height, which is 1200
    assert {case["i"][:22] for case in data["cases"]} == {"data:image/png;base64,"}


def test_many_pictures_lie_beside_the_page(tmp_path):
    made = synthetic.make(tmp_path, patients=70, films=70, models=2)
    write_page(tmp_path / "out" / "page.html", **made)
    data = shown(tmp_path / "out" / "page.html")
    assert data["cases"][6]["i"] == "page-images/00001.jpg"
    assert len(list((tmp_path / "out" / "page-images").iterdir())) == 70
    assert "The pictures are in page-images beside this file" in (tmp_path / "out" / "page.html").read_text()


def test_what_differs_and_what_falls_short_is_said(written):
    text = written.read_text()
    assert "Note: models were not run alike: temperature" in text
    assert ">†</abbr>" not in text  # none falls short


def test_the_same_input_gives_the_same_file(written, tmp_path):
    write_page(tmp_path / "again.html", **synthetic.make(tmp_path))
    assert (tmp_path / "again.html").read_bytes() == written.read_bytes()


def test_a_page_of_little_is_still_a_page(tmp_path):
    made = synthetic.make(tmp_path)
    rows = [i for i, e in enumerate(made["examples"]) if e.task == "vqa_open"][:5]
    examples = [made["examples"][i].model_copy(update={"images": ("gone.png",)}) for i in rows]
    answers = [made["answers_by_model"]["SFT"][i] for i in rows]
    scores = {"SFT": score_cases(examples, [answers])}
    comparison = compare(examples, scores, "SFT", samples=20)
    write_page(tmp_path / "p.html", comparison, examples, {"SFT": answers}, scores, {}, [tmp_path] * 5, {})
    assert Reader((tmp_path / "p.html").read_text()).open == []
    assert [case["n"] for case in shown(tmp_path / "p.html")["cases"]] == ["image gone.png cannot be read"] * 5
    with pytest.raises(ValueError, match="answers and scores must be of the compared models"):
        write_page(tmp_path / "p.html", comparison, examples, {}, scores, {}, [tmp_path] * 5, {})


def test_cases_of_one_patient_have_a_value_and_a_dash(tmp_path):
    made = synthetic.make(tmp_path, patients=1)
    write_page(tmp_path / "p.html", **made)
    text = (tmp_path / "p.html").read_text()
    assert Reader(text).open == []
    assert "<span>–</span>" in text
    assert 'id="differences"' not in text


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


needs_browser = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium here (looked for chromium, chromium-browser, google-chrome)"
)


@pytest.fixture
def tab(tmp_path):
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


@needs_browser
@pytest.mark.parametrize("name", ["written", "hostile"])
def test_a_browser_renders_it_without_complaint(name, request, tab):
    tab.open(request.getfixturevalue(name))
    assert tab.value("document.querySelectorAll('[role=option]').length") > 10
    tab.wait("document.querySelector('.frame img').naturalWidth === 160")
    assert tab.value("document.querySelectorAll('#detail mark').length") > 2
    assert tab.complaints == []  # a blocked style, a script error, a refused picture


@needs_browser
def test_pictures_beside_the_page_are_seen(tab, tmp_path):
    write_page(tmp_path / "page.html", **synthetic.make(tmp_path, patients=61, films=61, models=2))
    tab.open(tmp_path / "page.html")
    tab.wait("document.querySelector('.frame img').naturalWidth === 160")
    assert tab.complaints == []


@needs_browser
def test_the_keyboard_goes_everywhere(written, tab):
    tab.open(written)
    title = "document.getElementById('case-title').textContent"
    assert tab.value(title) == "p0-0"
    tab.press("j", "j")
    assert tab.value(title) == "p0-2"
    assert tab.value("document.activeElement.id") == "list"
    tab.press("k", "ArrowDown", "ArrowDown")
    assert tab.value(title) == "p0-3"
    tab.press("End")
    assert tab.value(title) == "p39-5"
    active = "document.getElementById(document.getElementById('list').getAttribute('aria-activedescendant'))"
    assert tab.value(f"{active}.getAttribute('aria-selected')") == "true"
    assert tab.value(f"{active}.getBoundingClientRect().height") > 0
    tab.press("Home", "/")
    assert tab.value("document.activeElement.id") == "search"
    tab.press(*"p7-")
    tab.wait("document.getElementById('count').textContent === '6 of 240 cases'")
    tab.press("Escape")
    assert tab.value("document.activeElement.id") == "list"
    tab.press("j")
    assert tab.value(title) == "p7-1"
    tab.press("Tab")  # focus is seen wherever it goes
    assert tab.value("getComputedStyle(document.activeElement).outlineStyle") != "none"


@needs_browser
def test_filters_and_orders(written, tab):
    tab.open(written)
    data = shown(written)

    def choose(key: str, value: str) -> None:
        tab.value(
            f"(e => {{ e.value = '{value}'; e.dispatchEvent(new Event('change')) }})(document.getElementById('{key}'))"
        )

    def first() -> dict:
        name = tab.value("document.getElementById('case-title').textContent")
        return next(case for case in data["cases"] if case["id"] == name)

    choose("task", "1")
    assert tab.value("document.getElementById('count').textContent") == "80 of 240 cases"
    choose("a", "3")
    choose("b", "0")
    choose("sort", "worst")
    main = data["tasks"][1]["main"]
    boxes = [case for case in data["cases"] if case["t"] == 1]
    assert first()["a"][3]["v"][main] == min(case["a"][3]["v"][main] for case in boxes)
    choose("sort", "apart")
    apart = [abs(case["a"][3]["v"][main] - case["a"][0]["v"][main]) for case in boxes]
    assert abs(first()["a"][3]["v"][main] - first()["a"][0]["v"][main]) == pytest.approx(max(apart))
    choose("task", "0")
    choose("sort", "errors")
    assert len(first()["a"][3]["e"]) == max(len(case["a"][3]["e"]) for case in data["cases"] if case["t"] == 0)
    tab.value("document.getElementById('search').value = 'nowhere'")
    tab.value("document.getElementById('search').dispatchEvent(new Event('input'))")
    tab.wait("document.getElementById('detail').textContent.startsWith('No case fits')")
    assert tab.complaints == []


@pytest.mark.slow
@needs_browser
def test_five_thousand_cases_stay_light(tab, tmp_path):
    write_page(tmp_path / "page.html", **synthetic.make(tmp_path, patients=834, models=2))
    tab.open(tmp_path / "page.html")
    assert tab.value("document.getElementById('count').textContent") == "5004 of 5004 cases"
    tab.press("j", "End")
    assert tab.value("document.getElementById('case-title').textContent") == "p833-5"
    assert tab.value("document.querySelectorAll('[role=option]').length") < 60
    assert tab.value("document.querySelectorAll('*').length") < 6000


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """The page of classification questions: right, false and missed labels, and films without any."""
    root = tmp_path_factory.mktemp("classified")
    synthetic.draw_films(root, 1)
    label_set = ("edema", "mass", "hernia <b>", "cardiomegaly")
    asked = {"task": "classification", "question": "Which abnormalities are there?", "images": ("0.png",)}
    there = (("edema", "mass"), ("hernia <b>",), (), ())
    examples = [
        Example(id=f"c{k}", patient=f"p{k}", label_set=label_set, labels=labels,
                reference="" if labels else "No finding.", **asked)
        for k, labels in enumerate(there)
    ]  # fmt: skip
    said = {
        "base": ("Mass, cardiomegaly.", "Hernia b", "No finding.", "I cannot tell."),
        "other": ("Edema and mass.", "No finding", "Edema, no finding", "Normal."),
    }
    answers = {
        name: [parse(t, e, PromptStyle()) for t, e in zip(texts, examples, strict=True)] for name, texts in said.items()
    }
    scores = {name: score_cases(examples, [given]) for name, given in answers.items()}
    comparison = compare(examples, scores, "base", samples=50)
    write_page(root / "page.html", comparison, examples, answers, scores, {}, [root] * 4, {"title": "Labels"})
    return root / "page.html"


def test_labels_are_shown_as_right_false_and_missed(classified):
    text = classified.read_text()
    assert Reader(text).open == []
    data = shown(classified)
    kinds = [[[(data["kinds"][kind], names) for kind, names in a["l"]] for a in case["a"]] for case in data["cases"]]
    assert kinds == [
        [[("match", "mass"), ("false", "cardiomegaly"), ("missed", "edema")], [("match", "edema, mass")]],
        [[("match", "hernia <b>")], [("missed", "hernia <b>")]],
        [[("match", "none of the labels is there")], [("false", "edema, No Finding")]],
        [[("missed", "none of the labels is there")], [("match", "none of the labels is there")]],
    ]
    assert data["tasks"][data["cases"][0]["t"]]["name"] == "classification"
    main = data["tasks"][data["cases"][0]["t"]]["main"]
    assert [[a["v"][main] for a in case["a"]] for case in data["cases"]] == [[0.5, 1], [1, 0], [1, 0], [0, 1]]
    assert "F1 of each label of the classification questions" in text
    assert "hernia &lt;b&gt;" in text


@needs_browser
def test_labels_are_seen_and_searched(classified, tab):
    tab.open(classified)
    lists = tab.value("[...document.querySelectorAll('#detail .labels')].map((e) => e.innerText).join(' | ')")
    assert " ".join(lists.split()) == "Right: mass False: cardiomegaly Missed: edema | Right: edema, mass"
    tab.value("document.getElementById('search').value = 'hernia'")
    tab.value("document.getElementById('search').dispatchEvent(new Event('input'))")
    tab.wait("document.getElementById('count').textContent === '1 of 4 cases'")
    assert tab.value("document.getElementById('case-title').textContent") == "c1"
    assert tab.complaints == []
