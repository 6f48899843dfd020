"""Rewards as TRL calls them: each Example by its own task's scorers, None elsewhere."""

from __future__ import annotations

import contextlib
import math
import pickle
import time

import pytest

from radrl.answers.parsing import parse
from radrl.clinical import extract
from radrl.errors import UserError
from radrl.example import Box, Example, Score
from radrl.manifest.jsonl import write_manifest
from radrl.scoring import completions, registry
from radrl.scoring.completions import as_example, completion_text
from radrl.scoring.rewards import load_rewards

EXAMPLES = [
    Example(id="r", task="report", question="q", reference="Left pleural effusion."),
    Example(id="b", task="grounding", question="q", boxes=(Box(xyxy=(0, 0, 0.4, 0.4), label="heart"),)),
    Example(id="c", task="vqa_closed", question="q", choices=("yes", "no"), reference="no"),
    Example(id="r2", task="report", question="q", reference="The heart is enlarged."),
    Example(id="b2", task="grounding", question="q"),  # nothing to find
]
REWARDS = """
  report: [{scorer: finding_f1}, {scorer: format, weight: 0.1}]
  grounding: [{scorer: soft_f1, weight: 2}, {scorer: format, weight: 0.5}]
  vqa_closed: [{scorer: vqa_accuracy}]
"""


@pytest.fixture
def functions(tmp_path):
    """Makes the reward functions of a recipe with these rewards and this prompt."""

    def make(rewards=REWARDS, more="", tasks=None):
        file = tmp_path / "recipe.yaml"
        file.write_text(f"out: run\nmodel: {{start: tiny}}\n{more}\nrewards:{rewards}\n")
        return load_rewards(file, tasks)

    return make


def values(functions, completions, examples=EXAMPLES, **columns):
    found = [
        f(prompts=None, completions=completions, example=examples, trainer_state=None, **columns) for f in functions
    ]
    return {f.__name__: (f.weight, v) for f, v in zip(functions, found, strict=True)}


def only(functions, text, example=EXAMPLES[0], **columns):
    """Returns the one reward of one completion."""
    (function,) = functions
    return function([text], example=[example], **columns)[0]


def test_a_mixed_batch_is_scored_task_by_task(functions):
    said = ["Left pleural effusion.", "heart [0.0, 0.0, 0.4, 0.2]", "No.", "Clear.", "none [0.1, 0.2"]
    completions = [[{"role": "assistant", "content": text}] for text in said]
    none = None
    assert values(functions(), completions) == {
        "report/finding_f1": (1.0, [1, none, none, 0, none]),
        "report/format": (0.1, [1, none, none, 1, none]),
        "grounding/soft_f1": (2.0, [none, pytest.approx(0.5), none, none, 0]),  # a box begun is no rejection
        "grounding/format": (0.5, [none, 1, none, none, 0]),
        "vqa_closed/vqa_accuracy": (1.0, [none, none, 1, none, none]),
    }
    assert [f.__name__ for f in functions(tasks={"vqa_closed"})] == ["vqa_closed/vqa_accuracy"]


def test_thinking_that_never_ends_earns_nothing(functions):
    thinking = functions(more="prompt: {thinking: true}")
    found = values(thinking, ["<think>Left pleural effusion. No. heart [0.0, 0.0, 0.4, 0.2]"] * 5)
    assert all(value in (None, 0) for _, each in found.values() for value in each)
    found = values(thinking, ["<think>No findings.</think>Left pleural effusion."] * 5)
    assert found["report/finding_f1"][1][0] == 1


@pytest.fixture
def errors(monkeypatch):
    """Registers a scorer of which less is better, 0 to 9; the answer says how many."""
    monkeypatch.setattr(registry, "_SCORERS", dict(registry._SCORERS))
    register = registry.scorer("errors", tasks=("report",), high=9.0, higher_is_better=False)
    register(lambda examples, answers: [Score(float(answer.text)) for answer in answers])


@pytest.mark.parametrize(
    ("settings", "text", "reward"),
    [
        ("", "3", -3),  # fewer errors are the better reward
        ("sign: keep", "3", 3),
        ("scale: 0.5, clip: [-1, 0]", "1", -0.5),
        ("scale: 0.5, clip: [-1, 0]", "4", -1),
        ("gate: format", "3", -3),
        ("gate: format", "<think>a</think>3", -9),  # a bad form gets the worst, not 0
        ("gate: format, sign: keep", "<think>a</think>3", 0),
        ("", "<think>a", -9),  # no answer
    ],
)
def test_sign_gate_scale_and_clip(functions, errors, settings, text, reward):
    assert only(functions(f" {{report: [{{scorer: errors, {settings}}}]}}"), text) == reward


def test_nan_is_an_error(functions, errors):
    with pytest.raises(ValueError, match="errors gave nan for r"):
        only(functions(" {report: [{scorer: errors}]}"), str(math.nan))


def test_form_times_content(functions):
    gated = functions(" {report: [{scorer: finding_f1, gate: format}]}", "prompt: {thinking: true}")
    assert only(gated, "<think>a</think>Left pleural effusion.") == 1
    assert only(gated, "a</think>Left pleural effusion.") == 0


@pytest.mark.parametrize(
    ("reward", "wanted"),
    [
        ("{scorer: finding_f}", "rewards.report.1.scorer': unknown scorer .* 'finding_f1'"),
        ("{scorer: soft_f1}", "rewards.report.1.scorer': 'soft_f1' scores grounding, not report"),
        ("{scorer: repetition, options: {m: 3}}", "rewards.report.1.options': .* no option 'm'.* it has: n"),
        ("{scorer: repetition, options: {n: two}}", "option 'n' of scorer 'repetition' should be int, not 'two'"),
        ("{scorer: bleu_4, gate: length}", "rewards.report.1.gate': 'length' is no score of 0 to 1"),
        ("{scorer: bleu_4, clip: [1, 0]}", "rewards.report.1': clip should be"),
        ("{scorer: judge}", "'judge' asks a model; name it under 'judge'"),
        ("{scorer: cider}", "key 'data.train' is empty"),
    ],
)
def test_a_wrong_reward_names_the_key(functions, refusal, reward, wanted):
    with pytest.raises(UserError, match=wanted):
        functions(f" {{report: [{{scorer: finding_f1}}, {reward}]}}")


def test_a_wrong_aggregation_is_refused_before_the_run(functions):
    with pytest.raises(UserError, match=r"grpo\.multi_objective_aggregation' is 'sum'"):
        functions(more="grpo: {multi_objective_aggregation: sum}")
    functions(more="grpo: {multi_objective_aggregation: normalize_then_sum}")


def test_cider_as_a_reward_does_not_depend_on_its_batch(functions, tmp_path):
    corpus = [EXAMPLES[0], EXAMPLES[3], EXAMPLES[3].model_copy(update={"id": "x", "reference": "Left lung clear."})]
    write_manifest(tmp_path / "train.jsonl", corpus)
    (cider,) = functions(" {report: [{scorer: cider}]}", "data: {train: [train.jsonl]}")
    said = ["left pleural mass.", "left pleural mass. The heart is enlarged."]
    together = cider(said, example=[EXAMPLES[0]] * 2)
    assert together == [cider([text], example=[EXAMPLES[0]])[0] for text in said]
    assert 0 < together[1] < together[0] < 10


def test_cider_is_fitted_on_what_data_keeps_of_its_task(functions, tmp_path):
    reports = [EXAMPLES[0], EXAMPLES[3], EXAMPLES[0].model_copy(update={"id": "r3", "reference": "Clear lungs."})]
    other = Example(id="o", task="vqa_open", question="q", reference="left")
    write_manifest(tmp_path / "train.jsonl", [*reports, other])
    documents = [
        functions(" {report: [{scorer: cider}]}", f"data: {{train: [train.jsonl], {more}}}")[0]
        .scorer.options["frequencies"]
        .documents
        for more in ("", "limit: 2", "tasks: [report, vqa_open]")
    ]
    assert documents == [3, 2, 3]  # not the answer to the open question, nor a report that is left out


def test_each_completion_is_scored_once_for_all_rewards(functions, monkeypatch):
    parsed, read = [], []
    monkeypatch.setattr(completions, "parse", lambda *a: (parsed.append(a[0]), parse(*a))[1])
    stretches = extract.stretches
    monkeypatch.setattr(extract, "stretches", lambda text, *a: (read.append(text), stretches(text, *a))[1])
    made = functions(" {report: [{scorer: finding_f1}, {scorer: finding_f1, clip: [0, 0.5]}, {scorer: format}]}")
    group = ["Large left effusion."] * 5 + ["Some nodule."] * 3
    found = values(made, group, [EXAMPLES[0]] * 8)
    assert found["report/finding_f1_2"][1][0] == 0.5
    assert sorted(parsed) == ["Large left effusion.", "Some nodule."]
    assert sorted(set(read) - {EXAMPLES[0].reference}) == ["Large left effusion.", "Some nodule."]
    assert read.count("Some nodule.") == 1


def test_tokens_reach_the_scorer_that_counts_them(functions):
    made = functions(" {report: [{scorer: soft_overlong, options: {limit: 10, buffer: 4}}]}")
    assert [only(made, "x", completion_ids=[[0] * n]) for n in (6, 8, 10, 20)] == [0, -0.5, -1, -1]
    assert only(made, "x") is None


def test_examples_may_be_json_text(functions):
    as_json = EXAMPLES[0].model_dump_json()
    made = functions(" {report: [{scorer: finding_f1}]}")
    as_row = {**EXAMPLES[0].model_dump(exclude_defaults=True), "thinking": None}  # as Arrow fills it
    assert made[0](["Left pleural effusion."] * 3, example=[as_json, as_row, EXAMPLES[0]]) == [1, 1, 1]
    assert as_example(dict(as_row)) is as_example(as_row)
    for bad in ("{}", 3, None):
        with pytest.raises(UserError, match="column 'example' holds what is no Example"):
            made[0](["x"], example=[bad])
    with pytest.raises(UserError, match="need the data set's column 'example'"):
        made[0](["x"])


def test_functions_can_be_sent_to_another_process(functions):
    made = pickle.loads(pickle.dumps(functions()))
    assert values(made, ["Left pleural effusion."] * 5)["report/finding_f1"][1][0] == 1


def test_worker_processes_give_the_same_rewards(functions):
    wanted = " {report: [{scorer: finding_f1, gate: format}, {scorer: bleu_2}, {scorer: repetition}]}"
    examples = [EXAMPLES[0]] * 4 + [EXAMPLES[3]] * 4 + [EXAMPLES[2]]
    texts = [f"Left pleural effusion {i % 3}." for i in range(9)]
    alone = values(functions(wanted), texts, examples)
    spread = functions(wanted, "scoring: {workers: 2}")
    assert values(spread, texts, examples) == alone
    pool = spread[0].rewards._pool.executor
    (worker, *_) = pool._processes.values()
    worker.kill()
    with contextlib.suppress(UserError):  # while it dies, the other worker may still do it all, and rightly
        assert values(spread, texts[::-1], examples) == values(functions(wanted), texts[::-1], examples)
    worker.join()
    deadline = time.monotonic() + 20
    while not pool._broken and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(UserError, match="a reward worker ended"):
        values(spread, texts[1:] + texts[:1], examples)
    pool.shutdown()


def test_ray_actors_give_the_same_rewards(functions):
    ray = pytest.importorskip("ray")
    wanted = " {report: [{scorer: finding_f1}, {scorer: bleu_2}]}"
    examples = [EXAMPLES[0]] * 4 + [EXAMPLES[3]] * 4
    texts = [f"Left pleural effusion {i % 3}." for i in range(8)]
    spread = functions(wanted, "scoring: {workers: ray}")
    try:
        assert values(spread, texts, examples) == values(functions(wanted), texts, examples)
    finally:
        ray.shutdown()


def test_text_of_a_completion():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert [completion_text(c) for c in ("ab", [{"content": "ab"}], [{"content": parts}])] == ["ab"] * 3
