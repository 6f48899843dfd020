"""Text scorers against their authors' figures, and against values worked out by hand."""

import json
import math
import random
import shutil
from collections import Counter

import numpy as np
import pytest

from radrl.errors import UserError
from radrl.example import Answer, Example
from radrl.scoring import registry
from radrl.scoring.words import ngrams, splitting
from radrl.scoring.words.bleu_cider import cider as cider_function

PUBLISHED = [
    ("manual_template_target_b4rouge", "result/test_result.json", "result/test_refs.json", "test_summary.json"),
    ("manual_template_target_b4rouge", "result/val_result.json", "result/val_refs.json", "val_summary.json"),
    (
        "qwen_dino_sft_rag_top20_copy_oracle_cw1_lr2e5_logp_top20",
        "test_preds.json",
        "test_refs.json",
        "test_metrics.json",
    ),
]
AUTHORS = {
    "Bleu_1": "bleu_1",
    "Bleu_2": "bleu_2",
    "Bleu_3": "bleu_3",
    "Bleu_4": "bleu_4",
    "ROUGE_L": "rouge_l_coco",
    "CIDEr": "cider",
}


def pairs(said, wanted):
    examples = [Example(id=str(i), task="report", question="?", reference=text) for i, text in enumerate(wanted)]
    return examples, [Answer(text) for text in said]


def score(name, said, wanted):
    examples, answers = pairs([said], [wanted])
    return registry.get(name)(examples, answers)[0].value


@pytest.mark.parametrize(("run", "said", "wanted", "figures"), PUBLISHED)
def test_the_authors_figures(shared_data, run, said, wanted, figures):
    folder = shared_data / "iu_metric_runs" / run
    said, wanted, figures = (json.loads((folder / name).read_text()) for name in (said, wanted, figures))
    examples, answers = pairs([said[key][0] for key in said], [wanted[key][0] for key in said])
    for theirs, ours in AUTHORS.items():
        scorer = registry.get(ours).fitted(examples)
        value = scorer.corpus_value(examples, answers, scorer(examples, answers))
        assert value == pytest.approx(figures[theirs], abs=1e-6), ours


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("No PTX.", ["no", "ptx", "."]),
        ("4.5 cm, (mild)", ["4.5", "cm", ",", "(", "mild", ")"]),
        ("a  . b", ["a", "", ".", "b"]),  # as pycocoevalcap's ROUGE-L cuts it
        ("a \n\n b\tc", ["a", "b", "c"]),
        ("1.,5", ["1", ".", ",", "5"]),
        ("<br>right-sided", ["<br>right-sided"]),
        ("", [""]),
    ],
)
def test_words(text, wanted):
    assert splitting.words(text) == wanted


def test_both_ways_of_cutting_words_agree():
    def slow(text):
        parts = splitting._SPACES.sub(" ", text.lower()).split(" ")
        return [word for part in parts for word in (splitting._WORD.findall(part) or [part])]

    rng = random.Random(0)
    for _ in range(5000):
        text = "".join(rng.choices('ab12.,:(" \n\t\u2003\x1cİ½', k=rng.randint(0, 14)))
        assert splitting.words(text) == slow(text), repr(text)


def test_bleu_by_hand():
    # 4 of 5 words, 2 of 4 pairs; one word short of 6
    said, wanted = "the left lung is clear", "the left lung base is opaque"
    short = math.exp(1 - 6 / 5)
    assert score("bleu_1", said, wanted) == pytest.approx(4 / 5 * short)
    assert score("bleu_2", said, wanted) == pytest.approx(math.sqrt(4 / 5 * 2 / 4) * short)
    assert score("bleu_3", said, wanted) == pytest.approx((4 / 5 * 2 / 4 * 1 / 3) ** (1 / 3) * short)
    assert 0 < score("bleu_4", said, wanted) < 2e-4  # the COCO scripts add 1e-15 to the matches
    assert score("bleu_1", "no no no no", "no mass") == 1 / 4  # a word counts as often as the reference has it
    assert score("bleu_4", said, said) == 1


def test_a_sets_bleu_is_not_the_mean_of_its_cases():
    examples, answers = pairs(["a b c d e", "x"], ["a b c d e", "y z"])
    scorer = registry.get("bleu_2")
    scores = scorer(examples, answers)
    assert [one.value for one in scores] == [1, pytest.approx(0, abs=1e-5)]
    assert scorer.corpus_value(examples, answers, scores) == pytest.approx(math.sqrt(5 / 6) * math.exp(1 - 7 / 6))


def test_google_bleu_by_hand():
    # 2 of 3 words, 1 of 2 pairs match; 6 n-grams against 10
    assert score("google_bleu", "a b x", "a b c d") == pytest.approx(3 / 10)
    assert score("google_bleu", "No mass.", "no mass") == pytest.approx(1 / 6)  # case counts, the full stop is a word
    examples, answers = pairs(["a b x", "q"], ["a b c d", "q"])
    scorer = registry.get("google_bleu")
    assert scorer.corpus_value(examples, answers, scorer(examples, answers)) == pytest.approx(4 / 11)


def test_rouge_l_by_hand():
    # the subsequence "lung is" of 4 and 3 words
    precision, recall = 2 / 4, 2 / 3
    value = 2.44 * precision * recall / (recall + 1.44 * precision)
    assert score("rouge_l_coco", "left lung is clear", "lung base is") == pytest.approx(value)
    assert score("rouge_l_coco", "\x00  a", "b  c") == pytest.approx(2.44 / 9 / (2.44 / 3))  # the empty word, once
    assert score("rouge_l_coco", "x", "y") == 0


def test_cider_pays_for_rare_words():
    wanted = ["no mass .", "no effusion .", "left pneumothorax .", "no acute disease ."]
    examples, _ = pairs(wanted, wanted)
    scorer = registry.get("cider").fitted(examples)
    rare, exact = (scorer([examples[2]], [Answer(text)])[0].value for text in ("big pneumothorax .", wanted[2]))
    assert 0 < rare < exact <= 10
    common = scorer([examples[0]], [Answer("no effusion .")])[0].value  # "no" stands in three of four
    assert 0 < common < rare


def test_cider_needs_a_corpus():
    with pytest.raises(UserError, match="at least 2 references"):
        registry.get("cider").fitted(pairs(["a"], ["a"])[0])
    with pytest.raises(ValueError, match="needs a corpus"):
        score("cider", "a", "a")
    assert cider_function.__doc__


def test_ngrams_are_counted_as_a_dictionary_counts_them():
    rng = random.Random(0)
    texts = [" ".join(rng.choices("abcde", k=rng.randint(0, 30))) for _ in range(60)]
    said = [splitting.read(text).codes for text in texts]
    for n, found in enumerate(ngrams.grams(said), 1):
        every = [Counter(zip(*(t.split()[k:] for k in range(n)), strict=False)) for t in texts]
        wanted = [(row, count) for row, counts in enumerate(every) for count in counts.values()]
        assert sorted(zip(found.rows.tolist(), found.counts.tolist(), strict=True)) == sorted(wanted)
        assert len(set(found.codes.tolist())) == len(found.codes) == len(set().union(*every))
        assert found.totals.tolist() == [sum(counts.values()) for counts in every]
        assert ngrams.different(said, n).tolist() == [len(counts) for counts in every]


def test_numbers_too_large_to_carry_an_index_are_sorted_alike():
    keys = np.random.default_rng(0).integers(0, 9, 100)
    order, ordered = ngrams._sort(keys)
    large, ordered_large = ngrams._sort(keys + (1 << 61))
    assert order.tolist() == large.tolist()
    assert ordered.tolist() == sorted(keys.tolist()) == (ordered_large - (1 << 61)).tolist()


def test_words_of_sentences_are_those_of_the_text():
    rng = random.Random(0)
    for _ in range(2000):
        text = "".join(
            rng.choices(["A b", "1", "5", "Σ", "ß.", ". ", ". ", "  ", "\n", " \u2003", "(x)", ""], k=rng.randint(0, 9))
        )
        said = splitting.read(text)
        codes = [splitting._code[word] for word in said.words if word]
        assert said.words == splitting._cut_words(splitting._SPACES.sub(" ", text).lower()), repr(text)
        assert said.codes == b"".join(codes)
        assert np.frombuffer(said.plain, np.int64).tolist() == [hash(word) for word in text.casefold().split()]


def test_equal_batches_are_counted_once(monkeypatch):
    counted = []
    grams = ngrams.grams
    monkeypatch.setattr(ngrams, "grams", lambda texts: (counted.append(len(texts)), grams(texts))[1])
    ngrams.overlaps.cache_clear()
    examples, answers = pairs(["small effusion", "clear lungs", "small effusion"], ["clear lungs"] * 3)
    examples = [examples[0]] * 3
    for name in ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "google_bleu"):
        registry.get(name)(examples, answers)
    assert counted == [3, 3]  # two different answers and one reference, by BLEU's words and by Google-BLEU's


@pytest.mark.skipif(not shutil.which("java"), reason="METEOR needs Java")
def test_meteor_knows_synonyms_and_stems():
    pytest.importorskip("pycocoevalcap", reason="METEOR needs pycocoevalcap")
    assert score("meteor", "the lungs are clear", "the lungs are clear") == pytest.approx(1.0)
    assert score("meteor", "small effusions", "small effusion") > score("meteor", "small x", "small effusion") > 0
    assert score("meteor", "||| \ud800", "a") == 0


def test_meteor_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with pytest.raises(UserError, match="needs Java on the PATH: apt-get install"):
        score("meteor", "a", "a")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'radrl\[meteor\]'"):
        score("meteor", "a", "a")
