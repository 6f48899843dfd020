"""Scorers of form: ranges, and the traps they are known for."""

import pytest

from radrl.errors import UserError
from radrl.example import Answer, Example
from radrl.scoring import registry

RIGHT = Example(id="a", task="vqa_open", question="?", reference="effusion")


def score(name, answer, example=RIGHT, **options):
    one = registry.get(name).with_options(options)([example], [answer])[0]
    return one and one.value


def long(words, text="effusion"):
    return Answer(text, thinking="so " * (words - 1))


def test_length_as_such_and_length_of_what_is_right():
    assert [score("ecr", long(n), full=100) for n in (1, 50, 100, 900)] == [0.01, 0.5, 1, 1]
    assert [score("ecr", long(n, "mass"), full=100) for n in (50, 900)] == [0.5, 1]  # paid although wrong
    assert [score("cwr", long(n), full=100) for n in (50, 900)] == [0.5, 1]
    assert [score("cwr", long(n, "mass"), full=100) for n in (50, 900)] == [0, 0]


def test_cosine_length_never_pays_what_is_wrong():
    right = [score("cosine_length", long(n), full=100) for n in (1, 50, 100)]
    wrong = [score("cosine_length", long(n, "mass"), full=100) for n in (1, 50, 100)]
    assert right == pytest.approx([1, 0.75, 0.5], abs=1e-3)
    assert wrong == pytest.approx([-1, -0.75, -0.5], abs=1e-3)
    assert score("cosine_length", long(101), full=100) == -1
    # the known trap: the accuracy must be that of the answer, beside it and after it
    batch = [long(5), long(5, "mass"), long(60, "mass")]
    registry.get("cosine_length")([RIGHT] * 3, batch)
    assert [one.value for one in registry.get("vqa_accuracy")([RIGHT] * 3, batch)] == [1, 0, 0]
    parts = [one.parts["right"] for one in registry.get("cosine_length")([RIGHT] * 3, batch)]
    assert parts == [1, 0, 0]


def test_soft_overlong():
    tokens = [Answer("x", tokens=n) for n in (1, 60, 80, 100, 5000)]
    assert [score("soft_overlong", a, limit=100, buffer=40) for a in tokens] == [0, 0, -0.5, -1, -1]
    assert score("soft_overlong", Answer("x")) is None
    assert score("soft_overlong", Answer("", tokens=5000)) == -1  # cut while it thought


def test_repetition():
    assert score("repetition", Answer("no mass no effusion")) == 0
    assert score("repetition", Answer("no mass " * 50)) == pytest.approx(2 / 98 - 1)
    assert score("repetition", Answer("ok", thinking="so it is " * 9)) < -0.8
    assert score("repetition", Answer("a b")) == 0
    assert score("repetition", Answer("a a a"), n=1) == pytest.approx(1 / 3 - 1)


@pytest.mark.parametrize("name", ["ecr", "cwr", "cosine_length"])
def test_a_length_of_nothing_is_refused(name):
    with pytest.raises(UserError, match=r"options of scorer .* 1 or more, not 0"):
        score(name, long(3), full=0)
