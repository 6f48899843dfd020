"""Labels of a case: order and wording earn and cost nothing, no claim is free, and silence is no right answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.answers.parsing import parse
from radrl.example import Example
from radrl.prompt.messages import PromptStyle
from radrl.scoring import registry
from radrl.scoring.classification import compared

SET = ("Edema", "Atelectasis", "Fracture", "Support Devices")
NAMES = ("label_f1", "label_precision", "label_recall", "label_accuracy")


def asked(labels, own=(), **more):
    fields = {"label_set": (*SET, *own)} | more
    return Example(
        id="a", task="classification", question="?", labels=labels, reference="" if labels else "none", **fields
    )


def scores(labels, text, **more):
    example = asked(labels, **more)
    answer = parse(text, example, PromptStyle())
    return tuple(registry.get(name)([example], [answer])[0].value for name in NAMES)


@pytest.mark.parametrize(
    ("labels", "text", "wanted"),
    [
        (["Edema", "Atelectasis"], "Atelectasis, edema.", (1, 1, 1, 1)),
        (["Edema", "Atelectasis"], "Edema", (2 / 3, 1, 0.5, 0)),
        (["Edema"], "Edema, fracture", (2 / 3, 0.5, 1, 0)),
        (["Edema"], "Fracture", (0, 0, 0, 0)),
        (["Edema"], "No finding", (0, 0, 0, 0)),
        (["Edema"], "hello", (0, 0, 0, 0)),
        (["Edema"], "", (0, 0, 0, 0)),
        ([], "No finding.", (1, 1, 1, 1)),
        ([], "The chest X-ray is normal", (1, 1, 1, 1)),
        ([], "hello", (0, 0, 0, 0)),  # silence is no answer
        ([], "", (0, 0, 0, 0)),
        ([], "No edema.", (0, 0, 0, 0)),
        ([], "Edema", (0, 0, 0, 0)),
        ([], "Edema, no finding", (0, 0, 0, 0)),
        (["Edema"], "Edema, no finding", (2 / 3, 0.5, 1, 0)),
        (["Support Devices"], "No finding but support devices", (1, 1, 1, 1)),
        (["Support Devices"], "No finding. Support devices.", (1, 1, 1, 1)),
    ],
)
def test_a_case(labels, text, wanted):
    assert scores(labels, text) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("labels", "text", "wanted"),
    [
        (["No Finding"], "Nothing.", (1, 1, 1, 1)),
        (["No Finding"], "Edema, no finding", (0, 0, 0, 0)),  # said beside another it is wrong either way
        (["Edema"], "Edema, no finding", (2 / 3, 0.5, 1, 0)),
        (["No Finding", "Support Devices"], "No finding; support devices", (1, 1, 1, 1)),
        (["Edema"], "no finding", (0, 0, 0, 0)),
    ],
)
def test_a_case_of_a_set_with_no_finding(labels, text, wanted):
    assert scores(labels, text, own=("No Finding",)) == pytest.approx(wanted)


def test_parts_and_labels_of_a_case():
    example = asked(["Edema", "Fracture"])
    answer = parse("Fracture, atelectasis", example, PromptStyle())
    assert compared(example, answer)[:3] == (("Fracture",), ("Atelectasis",), ("Edema",))
    (score,) = registry.get("label_f1")([example], [answer])
    assert score.parts == {"precision": 0.5, "recall": 0.5}


def test_where_any_label_may_be_named():
    example = asked(["Aortic elongation", "COPD signs"], label_set=())
    said = {"COPD sign; aortic elongations": 1, "COPD signs": 2 / 3, "COPD signs, aortic elongation, scoliosis": 0.8}
    for text, value in said.items():
        (score,) = registry.get("label_f1")([example], [parse(text, example, PromptStyle())])
        assert score.value == pytest.approx(value)


WAYS = ("{}", "{}.", "- {}", "**{}**", "{}: yes", '["{}"]', '{{"{}": true}}', "No finding, {}", "Normal. {}", "[x] {}",
        "possible {}", "There is {}, no other abnormality", "Findings: {}\nImpression: normal chest X-ray")  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WAYS), st.sampled_from(SET[:3])), min_size=1, max_size=4),
       st.sampled_from([(), ("No Finding",)]))  # fmt: skip
def test_a_claim_on_an_empty_film_is_never_paid(claims, own):
    text = "\n".join(way.format(label) for way, label in claims)
    assert scores(["No Finding"] if own else [], text, own=own) == (0, 0, 0, 0)


@settings(deadline=None)
@given(st.sets(st.sampled_from(SET)), st.permutations(SET), st.integers(0, 4))
def test_the_order_of_labels_changes_no_score(there, order, count):
    said = order[:count]
    values = {
        scores(labels, ", ".join(names) or "No finding")
        for labels in (sorted(there), sorted(there, reverse=True))
        for names in (said, said[::-1], sorted(said))
    }
    assert len(values) == 1
