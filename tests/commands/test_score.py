"""radrl score: files in, values out, and the gallery."""

import json

import pytest
import yaml
from openai_server import serve
from typer.testing import CliRunner

from radrl.commands import main, score
from radrl.errors import UserError
from radrl.output.page.gallery import write_gallery
from radrl.recipe.schema import read_recipe
from radrl.scoring import gallery, registry

TEXTS = {"a": "Left pleural effusion.", "b": "The heart is enlarged. No mass."}


def jsonl(path, texts):
    path.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items()))
    return path


def run(*arguments):
    return CliRunner().invoke(main.app, [str(a) for a in arguments])


def test_values_of_the_set_with_the_cases_beside(tmp_path):
    said = jsonl(tmp_path / "p.jsonl", {"b": "No mass.", "a": TEXTS["a"]})  # joined by id, not by place
    wanted = jsonl(tmp_path / "r.jsonl", TEXTS)
    out = tmp_path / "deep" / "out.json"
    done = run("score", said, wanted, "--scorers", "bleu_1, rouge_l_coco,cider,token_f1", "--json", out)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert list(found) == ["bleu_1", "rouge_l_coco", "cider", "token_f1", "cases"]
    assert found["cases"]["a"] == {"bleu_1": 1, "rouge_l_coco": 1, "cider": pytest.approx(10), "token_f1": 1}
    cases = found["cases"]
    assert found["rouge_l_coco"] == pytest.approx((cases["a"]["rouge_l_coco"] + cases["b"]["rouge_l_coco"]) / 2)
    assert found["bleu_1"] != pytest.approx((cases["a"]["bleu_1"] + cases["b"]["bleu_1"]) / 2)
    assert f"rouge_l_coco            {found['rouge_l_coco']:.6f}" in done.output


def test_lists_of_labels_are_scored_in_any_order(tmp_path, refusal):
    wanted = jsonl(tmp_path / "r.jsonl", {"a": "Edema, atelectasis.", "b": "No finding."})
    said = jsonl(tmp_path / "p.jsonl", {"a": "Atelectasis, edema and nodule.", "b": "No findings."})
    found = score.score_files(said, wanted, ["label_f1", "label_recall", "bleu_1"])
    assert found["cases"]["a"]["label_f1"] == pytest.approx(0.8)
    assert (found["label_f1"], found["label_recall"]) == (pytest.approx(0.9), 1)
    none = jsonl(tmp_path / "n.jsonl", {"a": "", "b": "No finding."})
    assert "id 'a': no labels" in refusal(score.score_files, said, none, ["label_f1"])


def test_the_references_may_be_a_manifest_and_the_predictions_ours(tmp_path, refusal):
    heart = {"xyxy": [0.1, 0.2, 0.3, 0.4], "label": "heart"}
    lines = [
        {"id": "r", "task": "report", "question": "?", "reference": "Left pleural effusion."},
        {"id": "g", "task": "grounding", "question": "?", "boxes": [heart]},
        {"id": "c", "task": "vqa_closed", "question": "?", "choices": ["lung", "heart"], "reference": "heart"},
        {"id": "l", "task": "classification", "question": "?", "label_set": ["Edema", "Mass"], "labels": ["Edema"]},
    ]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    texts = {"l": "Edema.", "c": "B", "g": "heart [0.10, 0.20, 0.30, 0.40]", "r": "Left pleural effusion."}
    ours = "".join(json.dumps({"id": k, "sample": 0, "completion": v, "tokens": 3}) + "\n" for k, v in texts.items())
    (tmp_path / "p.jsonl").write_text(ours)
    paths = tmp_path / "p.jsonl", tmp_path / "m.jsonl"
    found = score.score_files(*paths, ["finding_f1", "soft_f1", "vqa_accuracy", "label_f1"])
    assert [found[name] for name in ("finding_f1", "vqa_accuracy", "label_f1")] == [1, 1, 1]
    assert found["soft_f1"] == pytest.approx(1, abs=1e-6)
    assert found["cases"]["c"] == {"finding_f1": None, "soft_f1": None, "vqa_accuracy": 1, "label_f1": None}
    usual = score.score_files(*paths)
    assert {"finding_f1", "soft_f1", "vqa_accuracy", "label_f1", "bleu_4"} <= usual.keys()
    jsonl(tmp_path / "t.jsonl", texts | {"g": "heart [100, 200, 300, 400]"})
    line = refusal(score.score_files, tmp_path / "t.jsonl", tmp_path / "m.jsonl", ["soft_f1"])
    assert "its boxes do not fit 'unit'" in line
    asked = {"model": "M", "source": "x", "backend": "file", "prompt": {"box_format": "thousand"}, "decoding": {}}
    (tmp_path / "t.json").write_text(json.dumps(asked))  # the header that says what they are in
    found = score.score_files(tmp_path / "t.jsonl", tmp_path / "m.jsonl", ["soft_f1"])
    assert found["soft_f1"] == pytest.approx(1, abs=1e-6)
    (tmp_path / "one.jsonl").write_text(json.dumps(lines[0]) + "\n")
    jsonl(tmp_path / "r.jsonl", {"r": "Clear."})
    line = refusal(score.score_files, tmp_path / "r.jsonl", tmp_path / "one.jsonl", ["soft_f1"])
    assert "'soft_f1' scores grounding; " in line
    assert "has no such Example" in line


def test_a_judge_is_the_recipes(tmp_path):
    wanted = jsonl(tmp_path / "r.jsonl", TEXTS)
    with serve(lambda question, nth: "VERDICT: 1") as server:
        recipe = f"out: run\nmodel: {{start: tiny}}\njudge: {{url: '{server.url}', model: big}}\n"
        (tmp_path / "recipe.yaml").write_text(recipe)
        done = run("score", wanted, wanted, "--scorers", "judge,bleu_1", "--recipe", tmp_path / "recipe.yaml")
        assert done.exit_code == 0, done.output
        assert "judge                   1.000000" in done.output
        assert len(server.bodies) == len(TEXTS)
    (tmp_path / "recipe.yaml").write_text("out: run\nmodel: {start: tiny}\n")
    with pytest.raises(UserError, match="'judge' asks a model; name it under 'judge'"):
        score.score_files(wanted, wanted, ["judge"], read_recipe(tmp_path / "recipe.yaml"))


def test_a_scorer_has_its_options_in_brackets(tmp_path):
    said = jsonl(tmp_path / "p.jsonl", {"a": "LEFT pleural effusion."})
    wanted = jsonl(tmp_path / "r.jsonl", {"a": TEXTS["a"]})
    names = "bleu_1(words=split), bleu_1 ,bleu_1( words = 13a )"
    done = run("score", said, wanted, "--scorers", names, "--json", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert [round(value, 3) for name, value in found.items() if name != "cases"] == [0.667, 1, 0.75]
    for wrong in ("bleu_1(words)", "bleu_1(words=[)", "bleu_1(word=split)"):
        with pytest.raises(UserError, match=r"bleu_1"):
            score.score_files(said, wanted, score.split_names(wrong))


def test_texts_are_read_as_completions_are(tmp_path):
    wanted = jsonl(tmp_path / "r.jsonl", TEXTS)
    wrapped = {name: f"<think>A mass?</think>\n<answer>{text}</answer>" for name, text in TEXTS.items()}
    said = jsonl(tmp_path / "p.jsonl", wrapped)
    assert score.score_files(said, wanted, ["rouge_l_coco", "token_f1"]) == score.score_files(
        wanted, wanted, ["rouge_l_coco", "token_f1"]
    )


def test_the_usual_scorers_read_the_reference(tmp_path):
    wanted = jsonl(tmp_path / "r.jsonl", TEXTS)
    names = {scorer.name for scorer in score.usual_scorers()}
    assert {"finding_f1", "bleu_4", "cider"} <= names
    assert not {"length", "format", "ecr", "sentence_similarity", "judge"} & names
    assert set(score.score_files(wanted, wanted, ["bleu_1"])) == {"bleu_1", "cases"}


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ('{"id": "a", "text": "x"}', "no line for id 'b' of .*r.jsonl"),
        ("", "no text; write one JSON object a line"),
        ('{"id": "a", "text": "x"}\n\n{"id": "a", "text": "y"}', "p.jsonl:3: id 'a' is already used in line 1"),
        ('{"id": "a"}', "p.jsonl:1: key 'text' is missing"),
        ('{"id": "a", "text": 3}', "p.jsonl:1: key 'text' is not text"),
        ("[1]", "p.jsonl:1: not an object"),
        ("[" * 100_000, "p.jsonl:1: not JSON"),
        (
            '{"id": "a", "text": "x"}\n{"id": "b", "text": "x"}\n{"id": 9, "text": "x"}',
            "r.jsonl: no line for id '9' of",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path, said, wanted):
    (tmp_path / "p.jsonl").write_text(said)
    with pytest.raises(UserError, match=wanted):
        score.score_files(tmp_path / "p.jsonl", jsonl(tmp_path / "r.jsonl", TEXTS), ["bleu_1"])


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("bleu_5", "did you mean"),
        ("soft_f1", "scores grounding: name a manifest as references"),
        ("judge", "recipe under 'judge'"),
    ],
)
def test_a_wrong_scorer_is_named(tmp_path, names, wanted):
    both = jsonl(tmp_path / "r.jsonl", TEXTS)
    with pytest.raises(UserError, match=wanted):
        score.score_files(both, both, [names])


def test_the_gallery_orders_and_shows(tmp_path, monkeypatch):
    some = ("finding_f1", "bleu_4", "length")
    monkeypatch.setattr(gallery, "installed", lambda: {name: registry.get(name) for name in some})
    made = gallery.score_gallery()
    assert set(made.scores) == set(some)
    assert all("reference" in case for case in made.cases.values())
    assert made.order("length").share < made.order("finding_f1").share
    assert made.order("bleu_4", ["unrelated"]).pairs > made.order("bleu_4", ["paraphrase"]).pairs
    assert made.mean("bleu_4", "exact") == 1
    write_gallery(tmp_path / "g.html", made)
    html = (tmp_path / "g.html").read_text()
    assert "Reward gallery" in html
    assert "http" not in html.replace("http-equiv", "")  # complete in itself
    assert "<script" not in html


def test_a_gallery_is_ordered_by_hand(monkeypatch):
    case = {"id": "x", "reference": "a b c d", "exact": "a b c d", "paraphrase": "a b c d", "omission": "a b"}
    monkeypatch.setattr(yaml, "safe_load", lambda text: [case, {**case, "id": "y", "omission": "a b c d"}])
    monkeypatch.setattr(gallery, "installed", lambda: {"bleu_1": registry.get("bleu_1")})
    made = gallery.score_gallery()
    assert made.order("bleu_1", ["paraphrase"]) == gallery.Order(2, 2)  # a paraphrase may tie with the copy
    assert made.order("bleu_1", ["omission"]) == gallery.Order(2, 4)  # a mistake may not
