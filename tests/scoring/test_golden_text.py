"""Each figure of texts against the program of those who publish it (golden_text.json, made by make_golden_text.py): on
540 pairs of our own case by case, and on two published sets of 382 predictions as sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_pairs import pairs, published

from radrl.errors import UserError
from radrl.example import Answer, Example
from radrl.scoring import registry
from radrl.scoring.registry import Scorer
from radrl.scoring.words import rouge, tokens

assert rouge  # importing it registers its scorers, and those of `text`
GOLDEN = json.loads((Path(__file__).parent / "golden_text.json").read_text())
CUTS = ("captions", "split", "13a", "cxr_metric", "r2gen_iu", "r2gen_mimic")


def scorer_of(name: str) -> Scorer:
    """Returns the scorer of a golden figure: ``cider(13a)`` is cider with its words cut so."""
    base, _, cut = name.removesuffix(")").partition("(")
    scorer = registry.get(base)
    if problem := scorer.missing(**scorer.options):
        pytest.skip(problem)
    if (base.startswith("bleu_") and base[5:].isdigit()) or base in ("cider", "rouge_l_coco"):
        return scorer.with_options({"words": cut or "split"})
    return scorer


def figures(name: str, texts: list[tuple[str, str]]) -> tuple[float, list[float]]:
    """Returns the value of the set and of each case."""
    examples = [Example(id=str(k), task="report", question="?", reference=b) for k, (_, b) in enumerate(texts)]
    answers = [Answer(a) for a, _ in texts]
    scorer = scorer_of(name).fitted(examples)
    scores = scorer(examples, answers)
    return scorer.corpus_value(examples, answers, scores), [one.value for one in scores]


@pytest.mark.parametrize("name", GOLDEN["pairs"])
def test_the_authors_programs_on_each_case(name):
    of_set, cases = figures(name, pairs())
    assert of_set == pytest.approx(GOLDEN["pairs"][name]["set"], abs=1e-6)
    if wanted := GOLDEN["pairs"][name]["cases"]:
        assert len(wanted) == len(cases) >= 500
        np.testing.assert_allclose(cases, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", GOLDEN["pairs"])
def test_the_authors_programs_on_published_predictions(shared_data, name):
    for run, texts in published(shared_data / "iu_metric_runs").items():
        of_set, cases = figures(name, texts)
        assert of_set == pytest.approx(GOLDEN[run][name]["set"], abs=1e-6), run
        if (mean := GOLDEN[run][name]["mean"]) is not None:
            assert np.mean(cases) == pytest.approx(mean, abs=1e-6), run


def test_an_ambiguous_name_says_what_to_name(refusal):
    said = refusal(registry.get, "rouge_l")
    assert "'rouge_l_stem'" in said
    assert "'rouge_l_coco'" in said


def test_rouge_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"scorer 'rouge_1_stem' needs the package rouge-score: .*radrl\[metrics\]"):
        registry.get("rouge_1_stem")([], [])


def test_an_unknown_way_of_cutting_is_refused(refusal):
    assert "option 'words' of scorer 'bleu_4'" in refusal(registry.get("bleu_4").with_options, {"words": "14a"})


@given(st.text(max_size=60) | st.text("aB1.,;-_ \n\t&<>/\\'\u2003", max_size=60))
def test_any_text_is_cut_into_words(text):
    for cut in CUTS:
        said = tokens.tokens(text, cut)
        assert all(said)
        assert not any(" " in word for word in (*said, *tokens.spaced(text, cut)))
        assert len(tokens.coder(cut)(text)) == 8 * len(said)


@pytest.mark.parametrize("text", ["[[" * 50_000, "1.," * 33_000, "a-\n" * 33_000, "." * 100_000, "1. 2. " * 17_000])
def test_long_garbage_is_cut(text):
    for cut in CUTS:
        assert len(tokens.tokens(text, cut)) <= 2 * len(text)
