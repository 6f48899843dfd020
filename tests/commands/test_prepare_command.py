"""What the commands print, and what they refuse."""

from __future__ import annotations

import pytest
import sets

from radrl.commands.cli.data import prepare
from radrl.commands.prepare import description
from radrl.data.published.readers import names, reader


@pytest.fixture
def told(tmp_path, capsys):
    """``told("nih14", ask="list")`` prepares the made-up copy with the command line's defaults and these changes."""

    def call(name, **changes):
        root = tmp_path / "in" if (tmp_path / "in").exists() else sets.write(name, tmp_path / "in")
        words = {
            "ask": "", "section": "findings", "uncertain": "mention", "option": [], "skip_bad": False, "workers": 1,
            "shares": "train=0.8,dev=0.1,test=0.1", "images": False, "max_pixels": 451_584, "max_side": None,
        }  # fmt: skip
        capsys.readouterr()
        prepare.prepare(name, root, tmp_path / "out", **{**words, **changes})
        return capsys.readouterr().out.rstrip("\n")

    return call


def test_counts_and_reasons_are_printed(told, tmp_path):
    assert told("chexpert", ask="list").splitlines() == [
        f"{tmp_path}/out/dev.jsonl: 1 Examples",
        f"{tmp_path}/out/train.jsonl: 2 Examples",
        "5 records read",
        "        1 skipped: a lateral view",
        "        1 skipped: no label is set, not even No Finding",
        f"each is listed in {tmp_path}/out/skipped.jsonl",
    ]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"ask": "lists"}, "--ask lists: 'chexpert' can be asked list, yesno (did you mean 'list'?)"),
        ({"section": "finding"}, "--section finding: give findings, impression, both, findings-then-"),
        ({"uncertain": "maybe"}, "--uncertain maybe: give mention"),
        ({"option": ["view"]}, "--option view: write NAME=VALUE"),
        ({"option": ["views=all"]}, "has no such option (did you mean 'view'?); it has: view"),
        ({"option": ["view=front"]}, "--option view=front: give one of frontal, all"),
        ({"shares": "train=2"}, "--shares train=2: write train=0.8"),
        ({"shares": "a=1"}, "--shares a=1: write"),
        ({"shares": "train=nan"}, "--shares train=nan: write"),
    ],
)
def test_what_is_wrong_in_the_words(told, refusal, changes, wanted):
    assert wanted in refusal(told, "chexpert", **changes)


def test_every_set_says_what_it_is_and_is_listed_without_heavy_imports():
    assert [line.split()[0] for line in description().splitlines()] == list(names())
    for name in names():
        one = reader(name)
        assert one.name == name
        assert one.access in description(name)
        assert all(option.values for option in one.options.values())
