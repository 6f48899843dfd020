"""Asking, whatever the backend: each case once, also after a stop."""

from __future__ import annotations

import pytest

from radrl.evaluation.answers import ask_model as asking
from radrl.evaluation.answers.ask_model import ask_model
from radrl.evaluation.answers.backend import Completion
from radrl.evaluation.answers.header import Header
from radrl.evaluation.answers.sources import Source
from radrl.manifest.from_recipe import load_examples


class Echo:
    """A backend of one's own: it answers with the number of the Example, and stops after ``most`` answers."""

    def __init__(self, most: int) -> None:
        self.header = Header("E", "echo", "echo", {}, {"samples": 2})
        self.most, self.asked = most, []

    def answer(self, asks, done):
        for index, sample in asks:
            if len(self.asked) == self.most:
                raise KeyboardInterrupt
            self.asked.append((index, sample))
            done([Completion(index, sample, f"{index}.{sample}", None)])


def test_a_backend_of_ones_own_is_asked_each_case_once_also_after_a_stop(make_recipe, tmp_path, monkeypatch):
    recipe = make_recipe("data.limit=3")
    test = load_examples(recipe, "test")
    first, second = Echo(most=4), Echo(most=99)
    for backend in (first, second):
        monkeypatch.setattr(asking, "open_backend", lambda *_, backend=backend: backend)
        if backend is first:
            with pytest.raises(KeyboardInterrupt):
                ask_model(recipe, Source("E", "echo"), test, tmp_path)
    collected = ask_model(recipe, Source("E", "echo"), test, tmp_path)
    assert sorted(first.asked + second.asked) == [(i, sample) for i in range(3) for sample in range(2)]
    assert [[one.completion for one in row] for row in collected.samples] == [
        ["0.0", "1.0", "2.0"],
        ["0.1", "1.1", "2.1"],
    ]
