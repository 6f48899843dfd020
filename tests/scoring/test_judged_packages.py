"""CRIMSON and RadMatch through their packages, against a real HTTP server that plays the language model: the same
figures as the packages give by themselves with the same server. Skipped where the packages are not installed (extras
``crimson`` and ``radmatch``)."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re

import pytest
from openai_server import serve
from text_pairs import pairs

from radrl.errors import UserError
from radrl.example import Answer, Example
from radrl.recipe.endpoints import Judge
from radrl.scoring import judge as judge_module
from radrl.scoring import registry

needs_crimson = pytest.mark.skipif(not importlib.util.find_spec("CRIMSON"), reason="crimson-score is not installed")
needs_radmatch = pytest.mark.skipif(not importlib.util.find_spec("radmatch"), reason="radmatch is not installed")
BOTH = [pytest.param("crimson", marks=needs_crimson), pytest.param("radmatch", marks=needs_radmatch)]
NO_ERRORS = '{"errors": {"false_findings": [], "missing_findings": [], "attribute_errors": []}'
NO_LIST = NO_ERRORS + ', "reference_findings": [], "predicted_findings": [], "matched_findings": ""}'
PAIRS = [(a, b) for a, b in pairs()[:40] if len(a) < 400]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(judge_module, "_calls", {})
    monkeypatch.setattr(judge_module, "_kept", {})


def scored(name, server, texts, **options):
    wanted = Judge(url=server.url, model="big", **{"backoff": 0.001, "retries": 2, **options})
    examples = [Example(id=str(k), task="report", question="q", reference=b) for k, (_, b) in enumerate(texts)]
    scores = registry.get(name).with_options({"judge": wanted})(examples, [Answer(a) for a, _ in texts])
    return [one and one.value for one in scores]


def level(text, names):
    return names[hashlib.sha256(text.encode()).digest()[0] % len(names)]


def sentences(text):
    return list(dict.fromkeys(one.strip() for one in re.split(r"[.\n]", text) if one.strip()))


def crimson_reply(body):
    """A judge of the simplest kind: a sentence is a finding, equal sentences match."""
    prompt = last(body)
    reference, answer = (
        re.search(rf"{side}:\n(.*?)\n\n", prompt, re.S)[1] for side in (r"\(Ground Truth\)", r"\(Candidate\)")
    )
    kinds = ("urgent", "actionable_not_urgent", "not_actionable_not_urgent", "benign_expected")
    sides = {}
    for letter, text in (("R", reference), ("P", answer)):
        found = enumerate(sentences(text), 1)
        sides[letter] = [
            {"id": f"{letter}{k}", "finding": s, "clinical_significance": level(s, kinds)} for k, s in found
        ]
    match = [(r, p) for r in sides["R"] for p in sides["P"] if r["finding"] == p["finding"]]
    wrong = [{"ref_id": r["id"], "pred_id": p["id"], "severity": "significant", "error_types": ["location"]}
             for r, p in match if len(r["finding"]) % 3 == 0]  # fmt: skip
    errors = {
        "false_findings": [p["id"] for p in sides["P"] if p["id"] not in {one["id"] for _, one in match}],
        "missing_findings": [r["id"] for r in sides["R"] if r["id"] not in {one["id"] for one, _ in match}],
        "attribute_errors": wrong,
    }
    matched = [{"ref_id": r["id"], "pred_id": p["id"]} for r, p in match]
    return json.dumps({"reference_findings": sides["R"], "predicted_findings": sides["P"],
                       "matched_findings": matched, "errors": errors})  # fmt: skip


def radmatch_reply(body):
    """The same for each of RadMatch's three requests."""
    asked, text = body["response_format"]["json_schema"]["name"], last(body)
    if asked == "findings_output":
        kinds = ("critical", "urgent", "notable", "routine")
        found = [{"text": s, "clinical_status": "abnormal", "clinical_significance": level(s, kinds),
                  "comparison": None, "measurements": []} for s in sentences(text.split(":\n\n", 1)[1])]  # fmt: skip
        return json.dumps({"findings": found})
    given = json.loads(text[text.index("{") :])
    if asked == "attribute_errors_output":
        wrong = [{"dimension": "location", "severity": "major", "reasoning": "x"}]
        return json.dumps({"errors_per_match": [wrong if len(pair["gt_finding"]["text"]) % 3 == 0 else []
                                                for pair in given["pairs"]]})  # fmt: skip
    rows = [(p["finding_id"], g["finding_id"]) for p in given["pred_findings"] for g in given["gt_findings"]
            if p["text"] == g["text"]]  # fmt: skip
    matches = [{"pred_id": p, "gt_id": g, "reasoning": "same"} for p, g in rows]
    return json.dumps({"matches": matches, **{
        f"unmatched_{side}": [f["finding_id"] for f in given[f"{side}_findings"] if f["finding_id"] not in
                              {row[k] for row in rows}] for k, side in enumerate(("pred", "gt"))}})  # fmt: skip


def last(body):
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


REPLIES = {"crimson": crimson_reply, "radmatch": radmatch_reply}


@needs_crimson
def test_crimson_is_the_packages(monkeypatch, tmp_path):
    from CRIMSON import CRIMSONScore

    with serve(crimson_reply, whole=True) as server:
        found = scored("crimson", server, PAIRS, cache=str(tmp_path / "judge.jsonl"))
        ours = {last(body): body for body in server.bodies}
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        package = CRIMSONScore(api="openai", model_name="big")
        server.bodies.clear()
        assert found == [package.evaluate(b, a)["crimson_score"] for a, b in PAIRS]
    assert len(set(found)) > 10
    for body in server.bodies:
        mine = ours[last(body)]
        assert {key: mine[key] for key in body if key != "messages"} == {
            k: v for k, v in body.items() if k != "messages"
        }
        assert mine["messages"][0] == body["messages"][0]
        assert mine["max_tokens"] == 8192


@needs_radmatch
def test_radmatch_is_the_packages(monkeypatch, tmp_path):
    import radmatch

    for k, (answer, reference) in enumerate(PAIRS):
        for side, text in (("pred", answer), ("gt", reference)):
            (tmp_path / side).mkdir(exist_ok=True)
            (tmp_path / side / f"{k:03}.txt").write_text(text)
    with serve(radmatch_reply, whole=True) as server:
        found = scored("radmatch", server, PAIRS, cache=str(tmp_path / "judge.jsonl"))
        calls = len(server.bodies)
        monkeypatch.setenv("RADMATCH_LOCAL_BASE_URL", server.url)
        summary = radmatch.run_all(
            tmp_path / "pred", tmp_path / "out", "local:big", "local:big", tmp_path / "gt", workers=4
        )
    each = [json.loads((tmp_path / f"out/radmatch_results/per_report_metrics/{k:03}.json").read_text())
            for k in range(len(PAIRS))]  # fmt: skip
    assert found == [one["actionable_errors_total"] for one in each]
    assert sum(found) / len(found) == pytest.approx(summary["actionable_errors_per_report"], abs=1e-12)
    assert calls <= summary["metadata"]["token_usage"]["calls"]
    assert len(set(found)) > 3
    mine, theirs = server.bodies[0], server.bodies[calls]
    assert mine["messages"][0] == theirs["messages"][0]
    assert {key: mine[key] for key in theirs if key != "messages"} == {
        k: v for k, v in theirs.items() if k != "messages"
    }


@pytest.mark.parametrize("name", BOTH)
def test_values_are_kept_without_the_texts(name, tmp_path):
    cache = tmp_path / "judge.jsonl"
    with serve(REPLIES[name], whole=True) as server:
        first = scored(name, server, PAIRS[:6], cache=str(cache))
        calls = len(server.bodies)
        judge_module._kept.clear()  # another process
        assert scored(name, server, PAIRS[:6], cache=str(cache)) == first
        assert len(server.bodies) == calls
    assert len(cache.read_text().splitlines()) == len(set(PAIRS[:6]))
    assert "lungs" not in cache.read_text()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("reply", ["{}", "[]", "no JSON", "", "cut", 413, '{"errors": {}}', NO_ERRORS + "}", NO_LIST])
def test_what_cannot_be_read_is_no_number(name, reply):
    """An empty object would be a perfect report to CRIMSON's own arithmetic."""
    bad = PAIRS[1]

    def answer(body):
        return reply if bad[0] in last(body) else REPLIES[name](body)

    with serve(answer, whole=True) as server, pytest.warns(UserWarning, match=f"the {name} gave no verdict on 1 of 3"):
        found = scored(name, server, [PAIRS[0], bad, PAIRS[2]])
    assert [one is None for one in found] == [False, True, False]


@needs_radmatch
@pytest.mark.parametrize("stage", ["findings_output", "matching_output", "attribute_errors_output"])
def test_a_stage_of_radmatch_that_fails_gives_no_number(stage):
    """After three wrong replies about matches the package goes on with what it could read of them."""

    def answer(body):
        of_user = json.dumps([one for one in body["messages"] if one["role"] == "user"])
        wrong = body["response_format"]["json_schema"]["name"] == stage and "Mass" in of_user
        return '{"matches": [{"pred_id": "x", "gt_id": "y"}]}' if wrong else radmatch_reply(body)

    texts = [("Nodule.", "Nodule."), ("Mass. Nodule.", "Mass. Effusion.")]
    with serve(answer, whole=True) as server, pytest.warns(UserWarning, match="no verdict on 1 of 2"):
        assert scored("radmatch", server, texts)[1] is None


@pytest.mark.parametrize("name", BOTH)
def test_an_endpoint_that_fails_stops_the_run(name):
    with serve(lambda body: 500, whole=True) as server, pytest.raises(UserError, match="HTTP 500"):
        scored(name, server, PAIRS[:4])
    assert len(server.bodies) <= 4 * 2 * 3 + 4  # what was under way; nothing is asked on and on
    with serve(REPLIES[name], whole=True) as server, pytest.raises(UserError, match="budget of 5 calls is used up"):
        scored(name, server, PAIRS[:12], budget=5)
    assert len(server.bodies) <= 5


@pytest.mark.parametrize("name", BOTH)
def test_thinking_before_the_reply_is_left_out(name):
    with serve(lambda body: f"<think>{{hm}}</think>\n{REPLIES[name](body)}", whole=True) as server:
        found = scored(name, server, PAIRS[:2])
    with serve(REPLIES[name], whole=True) as server:
        assert scored(name, server, PAIRS[:2]) == found


@needs_radmatch
def test_radmatch_of_no_answer_and_of_no_reference():
    kinds = ("critical", "urgent", "notable", "routine")
    levels = {level(str(k), kinds): str(k) for k in range(100)}
    texts = [
        ("", f"{levels['critical']}. {levels['notable']}. {levels['routine']}."),
        (" ", levels["routine"]),
        ("a", " "),
    ]
    with serve(radmatch_reply, whole=True) as server:
        assert scored("radmatch", server, texts) == [2, 1, None]


@needs_crimson
def test_medgemma_crimson_is_asked_without_guidelines():
    from CRIMSON import CRIMSONScore

    with serve(crimson_reply, whole=True) as server:
        judge = Judge(url=server.url, model=CRIMSONScore.DEFAULT_HF_MODEL)
        scorer = registry.get("crimson").with_options({"judge": judge})
        scorer([Example(id="a", task="report", question="q", reference="Mass.")], [Answer("Nodule.")])
        scored("crimson", server, [("Nodule.", "Mass.")])
    short, long = (last(body) for body in server.bodies)
    assert "Examples of typical classifications" in long
    assert "Examples of typical classifications" not in short


@pytest.mark.parametrize("name", ["crimson", "radmatch"])
def test_what_is_missing_is_one_line(name, monkeypatch):
    example = Example(id="a", task="report", question="q", reference="Mass.")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    wanted = rf"scorer '{name}' needs the package (CRIMSON|radmatch): pip install 'radrl\[{name}\]'"
    with pytest.raises(UserError, match=wanted):
        registry.get(name)([example], [Answer("x")])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    with pytest.raises(UserError, match=f"scorer '{name}' needs an endpoint: name one in the recipe under 'judge'"):
        registry.get(name)([example], [Answer("x")])
