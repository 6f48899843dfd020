"""CheXbert, BERTScore and RadCliQ, and what all neural scorers share, on tiny random archives, against what the
authors' packages said of them (golden_radcliq.json, made by make_golden_radcliq.py)."""

from __future__ import annotations

import json
import logging
import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_archives import TEXTS, TINY, hub_config

from radrl.example import Answer, Example
from radrl.scoring import registry
from radrl.scoring.neural import graphs, models, radvlm, runtime
from radrl.scoring.neural.bertscore import BertScore, Idf
from radrl.scoring.neural.encoder import Encoder
from radrl.scoring.neural.radcliq import radcliq

GOLDEN = json.loads((Path(__file__).parent / "golden_radcliq.json").read_text())
PAIRS = GOLDEN["pairs"]
BOTH = [text for pair in PAIRS for text in pair]
VARIANTS = ("radcliq", "radcliq_radvlm", "radcliq_radeval")
CHEXBERT = ("chexbert_f1_micro_14", "chexbert_f1_macro_5", "chexbert_f1_examples_5", "chexbert_accuracy_5")
SCORERS = (*VARIANTS, "radgraph", "radgraph_radvlm", "bertscore", "bertscore_radvlm", *CHEXBERT, "chexbert_cosine")


@pytest.fixture(scope="module")
def ready(root):
    """``ready(name)`` is that scorer on the tiny weights, fitted where it needs a corpus."""

    def make(name: str, corpus=(BOTH[0], BOTH[1], BOTH[3]), **options):
        weights = {folder.name: str(folder) for folder in root.iterdir()}
        scorer = registry.get(name).with_options({"weights": weights, "device": "cpu", **options})
        return scorer.fitted([example(text) for text in corpus])

    return make


def example(reference: str) -> Example:
    return Example(id="a", task="report", question="?", reference=reference)


def scored(scorer, pairs):
    return scorer([example(b) for _, b in pairs], [Answer(a) for a, _ in pairs])


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "deberta"])
def test_the_packed_encoder_is_transformers(kind):
    from transformers import AutoModel

    torch.manual_seed(0)
    config = hub_config(kind, {**TINY, "num_hidden_layers": 3}, 50)
    theirs = AutoModel.from_config(config).eval()
    for weight in theirs.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    texts = [[5, 6, 7], [8], [9, 1, 10, 1, 11], [5, 12, 7], list(range(2, 50))]  # 1 is RoBERTa's "<pad>"
    ours = Encoder(config.to_dict(), theirs.state_dict(), "cpu")
    two = Encoder(config.to_dict(), theirs.state_dict(), "cpu", layers=2)
    with torch.inference_mode():
        found = [ours(texts), ours.double()(texts), two(texts)]
        if kind in ("bert", "roberta"):
            found.append(ours(texts, first_only=True))
        for ids, last, double, second, *first in zip(texts, *found, strict=True):
            wanted = theirs(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), output_hidden_states=True)
            torch.testing.assert_close(last, wanted[0][0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(double.float(), wanted[0][0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(second, wanted.hidden_states[2][0], atol=1e-5, rtol=1e-5)
            for one in first:
                torch.testing.assert_close(one, wanted[0][0][:1], atol=1e-5, rtol=1e-5)


def test_chexbert_is_the_packages(root):
    _, compute = models.load("chexbert", {"chexbert": str(root / "chexbert")}, "cpu")
    code = {0: "", 1: 1, 2: 0, 3: -1}
    labels, embeddings = ([one for pair in GOLDEN[key] for one in pair] for key in ("labels", "embeddings"))
    for found, label, embedding in zip(compute(BOTH), labels, embeddings, strict=True):
        assert [code[one] for one in found.classes] == label
        assert found.embedding == pytest.approx(embedding, abs=1e-5)


def test_bertscore_and_radcliq_are_the_packages(ready):
    found = scored(ready("radcliq"), PAIRS)
    for one, bert, graph, two in zip(found, GOLDEN["bertscore"], GOLDEN["graphs"], GOLDEN["embeddings"], strict=True):
        a, b = (torch.tensor(x, dtype=torch.float64) for x in two)
        cosine = float(a @ b / (a.norm() * b.norm()))
        assert one.parts["bertscore"] == pytest.approx(bert, abs=1e-5)
        assert one.parts["chexbert"] == pytest.approx(cosine, abs=1e-5)
        assert one.parts["radgraph"] == graphs.scores(*graph)["radcliq"]
        assert one.value == pytest.approx(radcliq(graphs.scores(*graph)["radcliq"], bert, cosine), abs=1e-5)


def test_runs_of_spaces_are_one_to_cxr_report_metrics_bertscore(ready):
    """As its add_bertscore_col has it; RadGraph and CheXbert read the text as it is, other codes in BERTScore too."""
    runs = ["Small left  effusion.   No mass. ", "No  effusion. Left   mass."]
    once = [re.sub(" +", " ", text) for text in runs]
    kept, single = ready("bertscore"), ready("bertscore", spaces="single")
    assert scored(single, [runs]) == scored(single, [once]) == scored(kept, [once])
    assert scored(kept, [runs])[0].value != pytest.approx(scored(kept, [once])[0].value, abs=1e-3)
    for name, same in (("radcliq", True), ("radcliq_radvlm", False), ("radcliq_radeval", False)):
        parts = [scored(ready(name), [pair])[0].parts["bertscore"] for pair in (runs, once)]
        assert (parts[0] == pytest.approx(parts[1], abs=1e-6)) is same, name


def test_the_formula():
    assert radcliq(1, 1, 1) == pytest.approx(-1.44, abs=0.005)
    assert radcliq(0, 0, 0) == pytest.approx(2.45, abs=0.005)


def test_idf_by_hand(root):
    model = BertScore(root / "distilroberta", "cpu")
    idf = model.idf(["left left", "left lung", "left lung"])
    assert idf.texts == 3
    one, two = model(["left lung", "left mass"])
    like = (one.vectors @ two.vectors.T).double()
    weights = [torch.tensor([math.log(4 / (idf.counts[i] + 1)) for i in side.ids]).double() for side in (one, two)]
    precision = (like.amax(1) @ weights[0] / weights[0].sum()).item()
    recall = (like.amax(0) @ weights[1] / weights[1].sum()).item()
    raw = 2 * precision * recall / (precision + recall)
    assert model.f([(one, two)], idf, rescale=False) == [pytest.approx(raw, abs=1e-6)]
    assert model.f([(one, two)], Idf(1, idf.counts)) != model.f([(one, two)], idf)
    assert model.f([(one, one)], model.idf(["left lung"] * 2)) == [None]  # every word in every reference


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_score_does_not_depend_on_order_batch_or_duplicates(ready, rng):
    """Within 1e-6: a matrix product may round a row differently in a batch of another size. Graphs are exact."""
    texts = [*TEXTS, *(text for text in BOTH if text.strip()), "no effusion", "x " * 90]
    pairs = [(rng.choice(texts), rng.choice(texts)) for _ in range(12)]
    pairs += rng.choices(pairs, k=6)
    alone = {pair: scored(ready("radcliq"), [pair])[0] for pair in dict.fromkeys(pairs)}
    folders = ready("radcliq").options["weights"]
    for _, compute in (models.load(name, folders, "cpu") for name in ("radgraph", "chexbert", "distilroberta")):
        compute._kept.clear()
    for pair, one in zip(pairs, scored(ready("radcliq"), pairs), strict=True):
        assert one.parts["radgraph"] == alone[pair].parts["radgraph"]
        assert one.value == pytest.approx(alone[pair].value, abs=1e-6)


WORDS = [
    "no",
    "effusion",
    "left",
    "/.",
    "nan",
    "[CLS]",
    "</s>",
    "<pad>",
    "\u200b",
    "\ud800",
    "\u0000",
    "1.5%",
    "ß",
    "🫁",
]
strange = st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(strange, strange), min_size=1, max_size=4))
def test_strange_texts(ready, pairs):
    pairs = [(a, b.encode(errors="replace").decode()) for a, b in pairs]
    for name in SCORERS:
        for one in scored(ready(name), pairs):  # raises outside the range
            assert one is None or math.isfinite(one.value)


@pytest.mark.parametrize("text", ["left lung " * 3000, "A" * 30_000, "." * 30_000, "\u200b" * 3000])
def test_long_texts(ready, text):
    for name in ("radgraph", "chexbert_cosine", "bertscore"):
        (one,) = scored(ready(name), [(text, "left lung")])
        assert math.isfinite(one.value)


@pytest.mark.parametrize(("name", "value"), [("radcliq", 3.0), ("radgraph", 0.0), ("bertscore", 0.0)])
def test_radvlm_counts_what_it_cannot_score(ready, caplog, name, value):
    pairs = [("Small left effusion.", "No effusion seen."), ("", "No effusion seen."), ("  no ", "No effusion seen."),
             ("Small left effusion.", "ok"), ("        ", "No effusion seen.")]  # fmt: skip
    scorer = ready(f"{name}_radvlm")
    with caplog.at_level(logging.WARNING):
        first, *failed = scored(scorer, pairs)
    assert [(one.value, one.parts) for one in failed] == [(value, {"failed": 1.0})] * 4
    assert f"{name}_radvlm: 4 of 5 answers cannot be scored" in caplog.text
    assert "failed" not in first.parts
    upper, lower = (scored(scorer, [(text, TEXTS[0])])[0] for text in (TEXTS[1].upper(), TEXTS[1]))
    assert upper == lower


def test_radvlm_cuts_a_text_and_then_lowers_it():
    read = []
    long = "\u0130" * 2048  # each becomes two characters
    radvlm._prepared("x", [example("No MASS")], [Answer(long + "cut off")], lambda t: read.extend(t) or [None], 0.0)
    assert read == [(long.lower(), "no mass")]


def test_only_radvlm_turns_no_answer_into_a_number_of_its_own(ready):
    scorer = ready("radcliq")
    assert [one.value for one in scored(scorer, [("", TEXTS[0])])] == [scorer.high]
    assert scored(scorer, [("a", ""), ("a", " \n")]) == [None, None]


def test_radeval_refuses_a_single_reference_and_says_why(ready, refusal):
    assert "every answer would have the same score" in refusal(ready, "radcliq_radeval", [TEXTS[0]] * 8)
    few = scored(ready("radcliq_radeval", TEXTS[:2]), PAIRS[:2])
    more = scored(ready("radcliq_radeval", TEXTS), PAIRS[:2])
    assert [one.value for one in few] != [one.value for one in more]  # its batch dependence


def test_idf_of_a_fixed_corpus(ready, root, tmp_path, refusal):
    assert "scoring.weights.idf" in refusal(scored, ready("bertscore", idf=True), PAIRS[:1])
    corpus = tmp_path / "references.jsonl"
    corpus.write_text("".join(json.dumps({"id": str(k), "text": text}) + "\n" for k, text in enumerate(TEXTS)))
    scorer = ready("radcliq", idf=True)
    scorer = scorer.with_options({"weights": {**scorer.options["weights"], "idf": str(corpus)}})
    wanted = scored(ready("radcliq_radeval", TEXTS), PAIRS[:2])
    assert [one.value for one in scored(scorer, PAIRS[:2])] == pytest.approx([one.value for one in wanted], abs=1e-9)


@pytest.mark.parametrize("name", SCORERS)
def test_missing_weights_are_one_line(name, monkeypatch, refusal):
    monkeypatch.delenv("RADRL_WEIGHTS", raising=False)
    said = refusal(registry.get(name)._check_ready)
    assert re.search(f"scorer '{name}': needs the weights of .*; hf download .*scoring.weights", said)


def spied(compute, made: list[str]):
    return lambda texts: made.extend(texts) or compute(texts)


def test_references_are_kept_on_disk_without_their_text(root, tmp_path, monkeypatch):
    monkeypatch.setenv("RADRL_CACHE", str(tmp_path / "cache"))
    for name in ("radgraph", "chexbert"):
        made: list[str] = []
        said = []
        for _ in range(2):
            monkeypatch.setattr(runtime, "_loaded", {})
            loaded, model = models.load(name, {name: str(root / name)}, "cpu")
            model.compute = spied(model.compute, made)
            found = model(TEXTS, keep=True)
            model(["an answer"])
            if name == "radgraph":
                said.append([graphs.graph(loaded.words(t), one) for t, one in zip(TEXTS, found, strict=True)])
            else:
                said.append([(one.classes, one.embedding.tolist()) for one in found])
        assert sorted(made) == sorted([*TEXTS, "an answer", "an answer"]), name
        assert said[0] == said[1]
    assert b"effusion" not in (tmp_path / "cache" / "features.sqlite").read_bytes()
    other = shutil.copytree(root / "radgraph", tmp_path / "other")
    weights = torch.load(other / "weights.th", weights_only=True)
    torch.save({**weights, "new": torch.zeros(1)}, other / "weights.th")
    monkeypatch.setattr(runtime, "_loaded", {})
    _, model = models.load("radgraph", {"radgraph": str(other)}, "cpu")
    assert model.disk.get(TEXTS) == {}  # other weights


def test_a_broken_cache_is_one_line(root, tmp_path, monkeypatch, refusal):
    monkeypatch.setenv("RADRL_CACHE", str(tmp_path))
    (tmp_path / "features.sqlite").write_text("not a database, " * 100)
    monkeypatch.setattr(runtime, "_loaded", {})
    said = refusal(models.load, "radgraph", {"radgraph": str(root / "radgraph")}, "cpu")
    assert "features.sqlite: cannot use this cache" in said


def test_batches_by_length():
    batches = []
    model = runtime.TextModel(lambda texts: batches.append(texts) or texts, budget=6)
    model(["aaa", "b", "cc", "ddddddddd", "ee"])
    assert batches == [["b", "cc", "ee"], ["aaa"], ["ddddddddd"]]


def test_as_a_reward(root, make_recipe):
    from radrl.scoring import load_rewards

    folders = ", ".join(f"{one.name}: {one}" for one in root.iterdir())
    recipe = make_recipe(
        f"scoring.weights={{{folders}}}",
        "scoring.device=cpu",
        "rewards={report: [{scorer: radcliq, clip: [-3, 1.5]}, {scorer: radgraph, options: {form: complete}}]}",
    )
    first, second = load_rewards(recipe)
    texts = [TEXTS[0], TEXTS[1], ""]
    column = [example(TEXTS[0])] * 3
    rewards = first(texts, example=column)
    assert rewards[0] == pytest.approx(1.4407, abs=1e-3)  # the sign is turned: higher is better
    assert rewards[0] > rewards[1] > rewards[2] == -3
    assert second(texts, example=column)[::2] == [1.0, 0.0]
