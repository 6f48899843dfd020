"""Traces from a teacher, against a real HTTP server that fails, lies, stalls and dies."""

import asyncio
import base64
import errno
import io
import json
import os
import time

import pytest
from openai_server import serve
from PIL import Image, PngImagePlugin

from radrl.commands import train
from radrl.errors import UserError
from radrl.example import Example
from radrl.manifest.jsonl import read_manifest, write_manifest
from radrl.prompt import instructions
from radrl.prompt.messages import PromptStyle, question, target
from radrl.recipe.endpoints import Endpoint
from radrl.support import files
from radrl.training import teacher
from radrl.training.teacher import load_traces, write_traces


def good(question):
    return f"<think>Looked at {question}.</think>  ANSWER to\n{question} "


@pytest.fixture
def films(tmp_path):
    """Three Examples on one image that carries metadata."""
    info = PngImagePlugin.PngInfo()
    info.add_text("PatientName", "DOE^JANE")
    Image.new("L", (8, 6), 77).save(tmp_path / "x.png", pnginfo=info)
    return [Example(id=f"id{i}", task="vqa_open", question=f"q{i}", images=("x.png",), patient="DOE") for i in range(3)]


def reference(example):
    return f"Answer to {example.question}"


def ask(films, tmp_path, server, **options):
    progress, prompt = options.pop("progress", None), options.pop("prompt", None)
    endpoint = Endpoint(url=server.url, **{"model": "big", "backoff": 0.001, "retries": 3, **options})
    return write_traces(films, tmp_path, tmp_path / "t.jsonl", endpoint, reference, progress=progress, prompt=prompt)


def test_good_traces_are_written_and_read_back(films, tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "sk-secret")
    seen = []
    with serve(lambda q, n: good(q)) as server:
        report = ask(films, tmp_path, server, api_key_env="TEACHER_KEY", progress=lambda *done: seen.append(done))
    assert (report.already, report.written, report.rejected, report.given_up) == (0, 3, 0, {})
    assert seen == [(1, 3), (2, 3), (3, 3)]
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    prompt = instructions.digest(instructions.read_instruction("teacher"))
    assert sorted(map(json.dumps, lines)) == [
        json.dumps({"id": f"id{i}", "thinking": f"Looked at q{i}.", "model": "big", "attempts": 1, "prompt": prompt})
        for i in range(3)
    ]
    assert load_traces(tmp_path / "t.jsonl") == {f"id{i}": f"Looked at q{i}." for i in range(3)}
    assert server.headers[0]["Authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in (tmp_path / "t.jsonl").read_text()


def test_only_pixels_question_and_reference_leave(films, tmp_path):
    with serve(lambda q, n: good(q)) as server:
        ask(films[:1], tmp_path, server)
    body = server.bodies[0]
    assert "id0" not in json.dumps(body)
    assert "DOE" not in json.dumps(body)
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    data = base64.b64decode(url.removeprefix("data:image/png;base64,"))
    assert b"DOE" not in data
    image = Image.open(io.BytesIO(data))
    assert (image.size, image.mode, image.getpixel((3, 3)), image.info) == ((8, 6), "L", 77, {})


def test_the_teacher_is_told_what_the_file_says(films, tmp_path, refusal):
    told = tmp_path / "teacher.txt"
    told.write_text("Beantworte {question} wie {reference}, {so}.\nQuestion: {question}", encoding="utf-8")
    film = films[0].model_copy(update={"question": "q {reference}"})
    with serve(lambda q, n: good(q)) as server:
        assert ask([film], tmp_path, server, prompt=told).written == 1
        text = server.bodies[0]["messages"][0]["content"][-1]["text"]
        assert text == ("Beantworte q {reference} wie Answer to q {reference}, {so}.\nQuestion: q {reference}")
        assert ask([film], tmp_path, server, prompt=told).already == 1
        assert "t.jsonl:1: was asked for with another prompt" in refusal(ask, [film], tmp_path, server)
        other = refusal(ask, [film], tmp_path, server, prompt=told, model="small")
        assert "t.jsonl:1: is of another teacher than 'small'" in other


def test_a_large_image_travels_as_jpeg(tmp_path, monkeypatch):
    monkeypatch.setattr("radrl.images.pixels.PNG_PIXELS", 10)
    Image.new("RGB", (8, 6)).save(tmp_path / "x.png")
    assert teacher._data_uri(tmp_path / "x.png", Image.open, "a").startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("trouble", [500, 429, 503, (429, {"retry-after": "0.01"}), "hang up", "not json"])
def test_what_passes_is_repeated(films, tmp_path, trouble):
    with serve(lambda q, n: trouble if n <= 2 else good(q)) as server:
        report = ask(films, tmp_path, server)
    assert (report.written, report.rejected) == (3, 0)
    assert len(server.asked) == 9


def test_a_slow_reply_is_asked_for_again(films, tmp_path):
    with serve(lambda q, n: (time.sleep(0.4) if n == 1 else None, good(q))[1]) as server:
        assert ask(films[:1], tmp_path, server, timeout=0.1).written == 1


def test_retry_after_is_honoured(films, tmp_path):
    with serve(lambda q, n: (429, {"retry-after": "0.3"}) if n == 1 else good(q)) as server:
        start = time.monotonic()
        ask(films[:1], tmp_path, server)
    assert time.monotonic() - start >= 0.3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("<think>x</think> something else", "does not end in the reference"),
        ("<think>x</think> Answer to q1, clearly", "does not end in the reference"),
        ("Answer to q1", "no thinking"),
        ("<think></think> Answer to q1", "no thinking"),
        ("<think>never closed Answer to q1", "no thinking"),
        ("Well. <think>x</think> Answer to q1", "text before the thinking"),
        ("<think>x</think>y</think> Answer to q1", "does not end in the reference"),
        ("<think>The reference answer says so.</think> Answer to q1", "tells that it was given"),
        ("cut", "cut at max_tokens"),
        (None, "no thinking"),
    ],
)
def test_a_bad_trace_is_asked_for_again_then_given_up_and_never_used(films, tmp_path, bad, reason):
    with serve(lambda q, n: bad if q == "q1" else good(q)) as server:
        report = ask(films, tmp_path, server, attempts=2)
    assert (report.written, report.rejected, list(report.given_up)) == (2, 2, ["id1"])
    assert reason in report.given_up["id1"]
    assert server.asked.count("q1") == 2
    assert sorted(load_traces(tmp_path / "t.jsonl")) == ["id0", "id2"]


def test_a_second_attempt_may_be_good(films, tmp_path):
    with serve(lambda q, n: good(q) if n == 2 else "no") as server:
        report = ask(films, tmp_path, server)
    assert (report.written, report.rejected, report.given_up) == (3, 3, {})
    assert '"attempts": 2' in (tmp_path / "t.jsonl").read_text()


def test_half_a_character_in_a_reply_does_no_harm(films, tmp_path):
    with serve(lambda q, n: good(q).replace("Looked", "\ud800")) as server:
        assert ask(films[:1], tmp_path, server).written == 1
    assert load_traces(tmp_path / "t.jsonl") == {"id0": "? at q0."}


def test_concurrency_is_bounded_and_used(tmp_path):
    many = [Example(id=str(i), task="vqa_open", question=f"q{i}") for i in range(12)]
    with serve(lambda q, n: (time.sleep(0.03), good(q))[1]) as server:
        ask(many, tmp_path, server, concurrency=3)
    assert server.most_open == 3


def test_a_stopped_run_asks_only_for_what_is_missing(films, tmp_path):
    with (
        serve(lambda q, n: good(q) if q == "q0" else 500) as server,
        pytest.raises(UserError, match=rf"{server.url}: the endpoint gave HTTP 500 .* 4 times; fix it and run again"),
    ):
        ask(films, tmp_path, server, concurrency=1)
    assert list(load_traces(tmp_path / "t.jsonl")) == ["id0"]
    with serve(lambda q, n: good(q)) as server:
        report = ask(films, tmp_path, server)
    assert (report.already, report.written, server.questions()) == (1, 2, ["q1", "q2"])
    with serve(lambda q, n: good(q)) as server:
        assert ask(films, tmp_path, server).already == 3
    assert server.asked == []


@pytest.mark.parametrize(
    "torn", [b'{"id": "id1", "thinki', b"\x00\x00", b'{"id": "id1", "thinking": "x"}', b"\xe2\x82"]
)
def test_a_kill_that_tears_the_last_line_is_survived(films, tmp_path, torn):
    whole = b'{"id": "id0", "thinking": "t", "model": "big", "attempts": 1}\n'
    (tmp_path / "t.jsonl").write_bytes(whole + torn)
    assert load_traces(tmp_path / "t.jsonl") == {"id0": "t"}
    with serve(lambda q, n: good(q)) as server:
        report = ask(films, tmp_path, server)
    assert (report.already, report.written, server.questions()) == (1, 2, ["q1", "q2"])
    assert (tmp_path / "t.jsonl").read_bytes().startswith(whole + b'{"id": "id')
    assert len(load_traces(tmp_path / "t.jsonl")) == 3


def test_a_broken_line_in_the_middle_is_named(films, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"id": "id0", "thinking": "t"}\n{"id": 3}\n')
    with pytest.raises(UserError, match=r"t\.jsonl:2: not a trace"):
        load_traces(tmp_path / "t.jsonl")
    with pytest.raises(UserError, match=r"none\.jsonl: no such file"):
        load_traces(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (401, "check the key in TEACHER_KEY"),
        (403, "TEACHER_KEY"),
        (404, "model name 'big'"),
        (302, "check the address"),
    ],
)
def test_a_final_refusal_stops_at_once(films, tmp_path, monkeypatch, status, wanted):
    monkeypatch.setenv("TEACHER_KEY", "sk-secret")
    with serve(lambda q, n: status) as server, pytest.raises(UserError, match=wanted) as caught:
        ask(films, tmp_path, server, concurrency=1, api_key_env="TEACHER_KEY")
    assert server.url in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(server.asked) == 1


def test_a_request_refused_for_its_content_is_given_up_alone(films, tmp_path):
    with serve(lambda q, n: 413 if q == "q1" else good(q)) as server:
        report = ask(films, tmp_path, server)
    assert (report.written, report.given_up) == (2, {"id1": "the endpoint refused the request (HTTP 413)"})


def test_requests_that_are_all_refused_stop_the_run(tmp_path):
    many = [Example(id=str(i), task="vqa_open", question=f"q{i}") for i in range(60)]
    with serve(lambda q, n: 400) as server, pytest.raises(UserError, match="HTTP 400"):
        ask(many, tmp_path, server)
    assert len(server.asked) < 30


def test_no_server_is_a_user_error_with_the_address(films, tmp_path):
    with serve(lambda q, n: good(q)) as server:
        pass
    with pytest.raises(UserError, match=rf"{server.url}: the endpoint gave ConnectError .* 4 times"):
        ask(films, tmp_path, server)


@pytest.mark.parametrize("key", [None, "", "no\nline", "é"])
def test_a_missing_or_impossible_key_names_its_variable_only(films, tmp_path, monkeypatch, key):
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("TEACHER_KEY", key)
    endpoint = Endpoint(url="http://127.0.0.1:9/v1", model="big", api_key_env="TEACHER_KEY")
    with pytest.raises(UserError, match="environment variable TEACHER_KEY") as caught:
        write_traces(films, tmp_path, tmp_path / "t.jsonl", endpoint, reference)
    assert not key or key not in str(caught.value)


def test_an_unreadable_image_names_the_id_and_nothing_else(films, tmp_path):
    bad = Example(id="id9", task="vqa_open", question="q9", images=("doe-jane.png",))
    with serve(lambda q, n: good(q)) as server, pytest.raises(UserError, match="'id9'") as caught:
        ask([bad], tmp_path, server)
    assert "doe" not in str(caught.value)


def test_a_full_disk_names_the_file(films, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with serve(lambda q, n: good(q)) as server, pytest.raises(UserError, match=r"t\.jsonl: no space left"):
        ask(films, tmp_path, server)


def test_two_examples_with_one_id_are_refused(films, tmp_path):
    endpoint = Endpoint(url="http://127.0.0.1:9/v1", model="big")
    with pytest.raises(UserError, match="share an id"):
        write_traces([films[0], films[0]], tmp_path, tmp_path / "t.jsonl", endpoint, reference)


def test_it_works_where_a_loop_runs_already(films, tmp_path):
    async def notebook(server):
        return ask(films, tmp_path, server)

    with serve(lambda q, n: good(q)) as server:
        assert asyncio.run(notebook(server)).written == 3
    films[0] = films[0].model_copy(update={"id": "new"})
    with serve(lambda q, n: 401) as server, pytest.raises(UserError, match="HTTP 401"):
        asyncio.run(notebook(server))


def test_a_cold_start_s_teacher_sees_the_question_without_the_student_s_form(make_recipe, phantom_set, tmp_path):
    films = [e for e in read_manifest(phantom_set / "train.jsonl", limit=6) if e.task in ("vqa_closed", "report")]
    assert {e.task for e in films} == {"vqa_closed", "report"}
    bare = [e.model_copy(update={"thinking": None, "images": ()}) for e in films]
    write_manifest(tmp_path / "bare.jsonl", bare)
    (tmp_path / "told.txt").write_text("Why {reference}?\nQuestion: {question}")
    right = {question(e, PromptStyle()): target(e, PromptStyle()) for e in bare}
    with serve(lambda q, n: f"<think>I look.</think> {right[q]}") as server:
        recipe = make_recipe(
            "prompt={preset: medvlthinker, answer_format: boxed, options: inline}",
            f"data.train=['{tmp_path}/bare.jsonl']",
            f"coldstart.teacher={{url: '{server.url}', model: big, prompt: told.txt}}",
            "coldstart.sft={max_steps: 1, per_device_train_batch_size: 1}",
            "coldstart.thinking_share=1",
        )
        stage = train.run_coldstart(recipe)
    said = {body["messages"][0]["content"][-1]["text"] for body in server.bodies}
    assert said == {f"Why {answer}?\nQuestion: {asked}" for asked, answer in right.items()}
    assert set(load_traces(stage.folder / "traces.jsonl")) == {e.id for e in bare}
