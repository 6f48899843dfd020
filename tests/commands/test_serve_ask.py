"""``radrl ask --serve``: films and questions through real HTTP, and the page in a real browser."""

from __future__ import annotations

import http.client
import io
import json
import threading
import time

import numpy as np
import pytest
from browser import PROGRAM, Browser
from openai_server import serve
from PIL import Image

from radrl.commands.ask import find_model
from radrl.commands.serve_ask import MOST_FILMS, Films, Visit
from radrl.images.files import read_image
from radrl.images.in_memory import InMemory
from radrl.support.local_server import LocalServer

HOSTILE = "<img src=x onerror=alert(1)>\x1b\u202e"


def png(width: int = 200, height: int = 100, grey: int = 90) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width), grey, np.uint8)).save(file, "PNG")
    return file.getvalue()


class Page:
    """A visit that is served, asked without a browser."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server

    def post(self, where: str, body: bytes, kind: str = "application/octet-stream") -> tuple[int, dict]:
        client = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=30)
        client.request("POST", f"/{self.server.token}/{where}", body, {"Content-Type": kind})
        reply = client.getresponse()
        found = reply.status, json.loads(reply.read())
        client.close()
        return found

    def ask(self, *films: str, question: str = "Where is the heart?", task=None, choices=()) -> tuple[int, dict]:
        body = {"films": films, "question": question, "task": task, "choices": choices}
        return self.post("ask", json.dumps(body).encode(), "application/json")


@pytest.fixture
def served():
    """``served(model)`` serves the page of a model, whose weights are loaded."""
    running = []

    def start(model: str, **settings) -> Page:
        visit = Visit(find_model(model, **settings))
        visit.asker.load()
        server = LocalServer(visit.routes)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return Page(server)

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_model_folder_answers_and_nothing_is_written_or_logged(served, tiny_folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    page = served(str(tiny_folder), overrides=["evaluation.max_new_tokens=5"])
    capfd.readouterr()  # transformers' bar of the weights, which the command switches off
    status, film = page.post("film", png())
    assert status == 200
    assert (film["width"], film["height"], film["notes"]) == (200, 100, [])
    assert film["picture"].startswith("data:image/jpeg;base64,")
    first, second = page.ask(film["film"]), page.ask(film["film"], question="Is there a nodule?")
    assert first[0] == second[0] == 200
    assert first[1] == {**page.ask(film["film"])[1], "seconds": first[1]["seconds"]}  # greedy: the same once more
    assert second[1]["task"] == "closed question"
    assert second[1]["why"] == "the question asks for yes or no"
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_what_is_answered_is_read_and_cleaned(served):
    with serve(lambda *_: f"<think>{HOSTILE}</think>a\x1bb [0.25, 0.2, 0.75, 0.6]") as api:
        page = served(api.url, thinking=True)
        film = page.post("film", png())[1]["film"]
        said = page.ask(film)[1]
        assert said["boxes"] == [{"label": "a\ufffdb", "unit": [0.25, 0.2, 0.75, 0.6], "pixels": [50, 20, 150, 60]}]
        assert (said["kind"], said["said"]) == ("boxes", "1 box")
        assert "\x1b" not in said["thinking"] + said["answer"]
        assert said["thinking"].startswith("<img src=x")
        said = page.ask(film, question="Which?", choices=["a", "b"])[1]
        assert api.bodies[-1]["messages"][-1]["content"][-1]["text"].startswith("Which? A. a B. b")


def test_dicom_is_read_in_memory(served, shared_data, tiny_folder):
    pytest.importorskip("pydicom")
    page = served(str(tiny_folder))
    wanted = read_image(shared_data / "dicom", "rsna_monochrome2.dcm")
    data = (shared_data / "dicom/rsna_monochrome2.dcm").read_bytes()
    status, film = page.post("film", data[132:], "application/dicom")  # without its preamble the kind tells
    assert (status, film["width"], film["height"]) == (200, *wanted.size)
    assert page.post("film", data)[0] == 200


def test_a_mistake_is_a_line(served, tiny_folder):
    page = served(str(tiny_folder))
    film = page.post("film", png())[1]["film"]
    for (status, reply), wanted in (
        (page.post("film", b"no film"), "film: not a readable"),
        (page.ask("other"), "no longer in memory"),
        (page.ask(film, question=" "), "empty"),
        (page.ask(film, task="poem"), "--task poem"),
        (page.ask(film, choices=["a"]), "at least two"),
        (page.ask(*[film] * 9), "load the page once more"),
        (page.post("ask", b"{"), "load the page once more"),
    ):
        assert status == 400
        assert wanted in reply["error"]


def test_one_request_at_a_time_goes_through_the_model(served):
    def slowly(*_):
        time.sleep(0.1)
        return "yes"

    with serve(slowly) as api:
        page = served(api.url)
        film = page.post("film", png())[1]["film"]
        threads = [threading.Thread(target=page.ask, args=(film,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(api.bodies) == 4
        assert api.most_open == 1


def test_the_oldest_films_are_forgotten(refusal):
    films = Films()
    names = [films.add(InMemory("film", png(grey=k)))[0] for k in range(MOST_FILMS)]
    films.get(names[0])
    films.add(InMemory("film", png()))
    assert films.get(names[0]).getpixel((0, 0)) == (0, 0, 0)
    assert "no longer in memory" in refusal(films.get, names[1])


@pytest.fixture
def tab(tmp_path):
    if PROGRAM is None:
        pytest.skip("no Chromium")
    browser = Browser(tmp_path / "browser", 1280, 900)
    yield browser
    browser.close()


def choose(tab: Browser, *files) -> None:
    """Gives the page's field files, as its dialog does, and waits until they are read."""
    root = tab.ask("DOM.getDocument")["root"]["nodeId"]
    field = tab.ask("DOM.querySelector", nodeId=root, selector="#films")["nodeId"]
    tab.ask("DOM.setFileInputFiles", files=[str(file) for file in files], nodeId=field)
    tab.wait("!document.getElementById('ask').disabled && document.getElementById('status').textContent !== ''")


def type_and_enter(tab: Browser, question: str) -> None:
    tab.value("document.getElementById('question').select()")
    tab.ask("Input.insertText", text=question)
    tab.press("Enter")
    tab.wait("/^(Answered|Choose)/.test(document.getElementById('status').textContent)")
    tab.wait("!document.getElementById('ask').disabled")


def test_the_page_asks_shows_and_keeps_the_visit(served, tab, tmp_path):
    answers = {
        "Where is the heart?": f"{HOSTILE} [0.25, 0.2, 0.75, 0.6]",
        "Where is the tube?": "There is no tube.",
        "What is seen?": HOSTILE,
    }
    (tmp_path / "film.png").write_bytes(png())
    (tmp_path / "film.txt").write_text("no film")
    with serve(lambda question, _: answers[question]) as api:
        page = served(api.url)
        tab.open(page.server.address)
        tab.press("Tab", "Tab", "Tab")  # the skip link, the film, the question: all by keyboard
        assert tab.value("document.activeElement.id") == "question"
        type_and_enter(tab, "Where is the heart?")
        assert tab.value("document.getElementById('status').textContent") == "Choose a film first."
        choose(tab, tmp_path / "film.txt")
        assert "not a readable" in tab.value("document.getElementById('status').textContent")
        choose(tab, tmp_path / "film.png")
        tab.wait("document.querySelectorAll('#chosen li').length === 1")
        for question in answers:
            type_and_enter(tab, question)
        # newest first; the box on the film where the answer has it, to half a pixel
        assert tab.value("[...document.querySelectorAll('.given h3')].map((h) => h.textContent)") == [*answers][::-1]
        place = """(() => { const [frame, box] = ['.given:last-child img', '.given:last-child .pred'].map(
            (name) => document.querySelector(name).getBoundingClientRect());
            return [(box.left - frame.left) / frame.width, (box.top - frame.top) / frame.height,
                    (box.right - frame.left) / frame.width, (box.bottom - frame.top) / frame.height]; })()"""
        assert tab.value(place) == pytest.approx([0.25, 0.2, 0.75, 0.6], abs=0.006)
        shown = tab.value("document.getElementById('answers').textContent")
        assert "pixels 50, 20, 150, 60 of 200 × 100" in shown
        assert "Denied: there is nothing to box" in shown
        assert "<img src=x onerror=alert(1)>" in shown
        assert tab.value("document.querySelectorAll('img[onerror]').length") == 0
        assert tab.value("document.getElementById('status').getAttribute('role')") == "status"
        tab.ask("Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=True)
        assert tab.value("document.documentElement.scrollWidth") <= 360
        tab.value("document.querySelector('#chosen button').click()")
        assert tab.value("document.querySelectorAll('#chosen li').length") == 0
    complaints = [one for one in tab.complaints if "400" not in one]  # the file that is no film
    assert complaints == []


def test_the_page_says_when_radrl_has_ended(served, tab, tmp_path, tiny_folder):
    (tmp_path / "film.png").write_bytes(png())
    page = served(str(tiny_folder))
    tab.open(page.server.address)
    tab.ask("Network.enable")
    tab.ask("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    choose(tab, tmp_path / "film.png")
    assert "is it still running" in tab.value("document.getElementById('status').textContent")


def test_the_page_runs_its_own_script_alone(served, tiny_folder):
    page = served(str(tiny_folder))
    client = http.client.HTTPConnection("127.0.0.1", page.server.server_port, timeout=30)
    client.request("GET", f"/{page.server.token}/")
    reply = client.getresponse()
    policy, html = reply.getheader("Content-Security-Policy"), reply.read().decode()
    client.close()
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for sign in ("http://", "https://", "url(", "@import", "innerHTML", "eval("):
        assert sign not in html.replace("http://www.w3.org/2000/svg", "")
