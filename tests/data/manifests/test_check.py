"""`radrl data check`: each thing that spoils training is found, named by file and line, and counted."""

from __future__ import annotations

import io
import json
import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from radrl.commands.main import main
from radrl.data.manifests.check import check
from radrl.data.manifests.check_report import Report, report_text
from radrl.data.manifests.line_checks import Asked, language_of, pieces
from radrl.data.manifests.same_picture import ALIKE, NEAR, detail, difference_hash

ENGLISH = Asked(("en",))
QUESTION = "What is the finding of this film?"


def film(seed: int, side: int = 96) -> Image.Image:
    """A smooth picture of its own."""
    rough = np.random.default_rng(seed).uniform(20, 235, (12, 12)).astype(np.uint8)
    return Image.fromarray(rough).resize((side, side), Image.Resampling.BICUBIC)


def line(number: int, **fields) -> str:
    return json.dumps(
        {
            "id": f"e{number}", "task": "vqa_open", "question": QUESTION, "reference": "Effusion.",
            "images": [f"images/{number}.png"], "patient": f"p{number}", "source": "made", **fields,
        }
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """``folder(train=[...], test=[...])`` writes manifests; images/K.png is a film of its own."""
    (tmp_path / "images").mkdir()
    for number in range(8):
        film(number).save(tmp_path / f"images/{number}.png")

    def write(**splits: list[str]) -> list:
        for split, lines in splits.items():
            (tmp_path / f"{split}.jsonl").write_text("".join(one + "\n" for one in lines))
        return [tmp_path / f"{split}.jsonl" for split in splits]

    write.root = tmp_path
    return write


def found(report: Report) -> list[tuple[str, str]]:
    return sorted((p.kind, p.where.rsplit("/", 1)[-1]) for p in report.problems)


def test_labels_that_the_taught_answer_does_not_name_are_said(folder):
    asked = {"task": "classification", "label_set": ["edema", "mass"]}
    right = [
        line(0, **asked, labels=["mass", "edema"], reference="Edema and a mass."),
        line(1, **asked, reference="none"),
    ]
    wrong = [
        line(2, **asked, labels=["edema"], reference="No finding."),
        line(3, **asked, labels=["edema"], reference="?"),
    ]
    report = check(folder(train=right + wrong), ENGLISH)
    assert report.counts == {"labels": 2}
    assert report.problems[0].why.endswith("does not name its labels as an answer is read; write 'edema'")
    assert "classification" in report_text(report)


def test_nothing_is_wrong_with_what_is_right(folder):
    report = check(folder(train=[line(0), line(1)], test=[line(2)]), ENGLISH)
    assert not report.counts
    assert (report.images, report.patients, report.languages["en"]) == (3, 3, 3)
    assert sum(report.examples.values()) == 3


def test_the_list_of_what_prepare_left_out_is_no_manifest(folder, refusal):
    paths = folder(train=[line(0)], skipped=[json.dumps({"id": "b", "why": "no report"})])
    assert check(paths, ENGLISH).counts == {"not an Example": 1}  # of a user's own it may be the name
    (folder.root / "prepare.json").write_text("{}")
    assert "skipped.jsonl: lists the records that 'radrl data prepare' left out" in refusal(check, paths, ENGLISH)


BROKEN = {
    "not an Example": (line(0, boxes=[{"xyxy": [0.5, 0.1, 0.4, 0.9]}]), ":2"),
    "id twice": (line(1, id="e0", patient="p0"), ":2"),
    "empty answer": (line(1, reference=" "), ":2"),
    "language": (line(1, reference="No se observa derrame en el pulmón y los senos están libres."), ":2"),
    "image not readable": (line(1, images=["images/none.png"]), ":2"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_each_kind_of_wrong_line_is_named(folder, kind):
    broken, where = BROKEN[kind]
    report = check(folder(train=[line(0), broken]), ENGLISH)
    assert found(report) == [(kind, f"train.jsonl{where}")]
    assert report.counts == {kind: 1}
    assert f"train.jsonl{where}: " in report_text(report)


def test_a_box_is_said_with_its_mend(folder):
    said = check(folder(train=[line(0), BROKEN["not an Example"][0]]), ENGLISH).problems[0].why
    assert "x1 < x2" in said


def test_leaks_between_splits(folder):
    (folder.root / "images/copy.png").write_bytes((folder.root / "images/1.png").read_bytes())
    film(2).resize((60, 60)).save(folder.root / "images/small.jpg", quality=60)
    train = [line(0, patient="7", source="ms_cxr"), line(1), line(2), line(3)]
    test = [
        line(4, patient="7", source="mimic_cxr"),  # of one hospital, whatever the data set is called
        line(5, images=["images/copy.png"]),
        line(6, images=["images/small.jpg"]),
        line(7, images=["images/3.png"]),
        line(8, images=["images/7.png"], patient="7", source="other"),
    ]
    report = check(folder(train=train, test=test), ENGLISH)
    assert found(report) == [
        ("image in two splits", "test.jsonl:2"),
        ("image in two splits", "test.jsonl:4"),
        ("image nearly in two splits", "test.jsonl:3"),
        ("patient in two splits", "test.jsonl:1"),
    ]
    one_split = check(folder(train=[*train, *test]), ENGLISH)
    assert not one_split.counts


def test_figures_of_one_article_in_two_splits(folder):
    """A study stands for the patient only where none is known: names of studies may be counted within patients."""
    of = {"source": "pmc_vqa", "patient": None}
    train = [line(0, study="PMC1", **of), line(1, study="s1", patient="1")]
    test = [line(2, study="PMC1", **of), line(3, study="PMC2", **of), line(4, study="s1", patient="2")]
    assert found(check(folder(train=train, test=test), ENGLISH)) == [("study in two splits", "test.jsonl:1")]


def test_workers_and_pieces_give_the_same(folder, monkeypatch):
    from radrl.data.manifests import check as module

    lines = [line(n % 8, id=f"e{n % 30}", patient=None) for n in range(40)] + ["{"]
    paths = folder(train=lines, test=lines[:3])
    whole = check(paths, ENGLISH)
    monkeypatch.setattr(module, "pieces", lambda path: pieces(path, 300))
    assert len(pieces(paths[0], 300)) > 10
    for workers in (1, 2):
        again = check(paths, ENGLISH, workers=workers)
        assert (found(again), again.counts) == (found(whole), whole.counts)
    assert whole.counts["id twice"] == 13
    assert ("not an Example", "train.jsonl:41") in found(whole)


def test_lengths_by_a_models_tokenizer(folder, tiny_folder):
    paths = folder(train=[line(0), line(1, reference="word " * 300)])
    report = check(paths, Asked(("en",), str(tiny_folder), 200), images=False)
    assert found(report) == [("too long", "train.jsonl:2")]
    assert report.longest >= 300
    assert report.images is None
    assert "not asked  image not readable" in report_text(report)


def test_control_tokens_are_counted_and_named_and_nothing_to_mend(folder, tiny_folder):
    marked = [
        line(1, question=f"{QUESTION} <|image_pad|> <image>"),
        line(2, task="vqa_closed", choices=["no", "yes </think>"], reference="no"),
        line(3, history=[{"question": "Before?", "answer": "[/INST]"}]),
    ]
    paths = folder(train=[line(0), *marked, line(4, reference="CTR <0.5, [x]")])
    for asked in (ENGLISH, Asked(("en",), str(tiny_folder))):
        report = check(paths, asked, images=False)
        assert report.fit
        assert report.counts == {"control token in a text": 3}
        said = [problem.why for problem in report.problems]
        assert said[0].startswith("question of 'e1' holds <|image_pad|>, <image>, which is shown and taught as plain")
        assert [why.split(" holds")[0] for why in said] == ["question of 'e1'", "choices of 'e2'", "history of 'e3'"]
        assert "         3  control token in a text" in report_text(report)


def test_exit_codes(folder, capsys, monkeypatch):
    for given, wanted in (([line(0)], 0), ([line(0), line(0)], 1), ([], 2)):
        paths = folder(train=given)
        monkeypatch.setattr("sys.argv", ["radrl", "data", "check", str(paths[0]), "--workers", "1"])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        assert code == wanted
    assert "train.jsonl: the data set is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("There is no pneumothorax and the heart is not enlarged.", "en"),
        ("No se observa derrame en el pulmón y los senos están libres.", "es"),
        ("Es gibt keinen Nachweis von Infiltraten und das Herz ist nicht groß.", "de"),
        ("Il n'y a pas d'épanchement dans les poumons et le cœur est normal.", "fr"),
        ("这张图像显示什么器官？", "zh"),
        ("Cardiomegaly.", None),
        ("", None),
    ],
)
def test_languages(text, language):
    assert language_of(text) == language


def test_copies_are_near_and_other_films_are_not(shared_data):
    root = shared_data / "nih_cxr14/images_512"
    if not root.is_dir():
        pytest.skip(f"no films at {root}")
    films = [Image.open(file).convert("L") for file in sorted(root.iterdir())[:120]]
    hashes = np.array([np.frombuffer(difference_hash(one), np.uint64) for one in films])
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(-1)[np.triu_indices(len(films), 1)]
    assert np.sort(apart)[:3].min() > NEAR / 2
    fine = np.array([detail(one) for one in films])
    assert (fine @ fine.T)[np.triu_indices(len(films), 1)].max() < ALIKE  # so none would be called a copy
    for one, bits in zip(films[::6], hashes[::6], strict=True):
        small, again = one.resize((384, 384), Image.Resampling.BICUBIC), io.BytesIO()
        one.save(again, "JPEG", quality=60)
        for copy in (small, Image.open(again), ImageEnhance.Brightness(one).enhance(0.9)):
            near = np.bitwise_count(np.frombuffer(difference_hash(copy), np.uint64) ^ bits).sum()
            assert near <= NEAR
            assert detail(copy) @ detail(one) > ALIKE


@pytest.mark.slow
def test_memory_is_flat(tmp_path):
    path = tmp_path / "train.jsonl"
    with path.open("w") as file:
        for number in range(20_000):
            file.write(line(number, meta={"words": "x" * 500}) + "\n")
    tracemalloc.start()
    check([path], ENGLISH, images=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size  # 15 MB; most of it one piece's problems and columns
