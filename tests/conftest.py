"""What the tests share: one small phantom data set, one tiny model, and short ways to say what is wanted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from shared_folder import SHARED

# before anything imports transformers
os.environ["HF_HUB_OFFLINE"] = "1"  # no test may ask the network
os.environ["TRANSFORMERS_VERBOSITY"] = "error"  # as the command line does


ROOMS_WITHOUT_A_MODEL = {
    "answers", "boxes", "choices", "clinical", "images", "manifest", "prompt", "recipe", "scoring", "support"
}  # fmt: skip
WHOLE_PARTS = {"phantom_set", "shared_data", "tab", "tiny_folder"}  # fixtures: drawn films, published data, a browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks ``unit`` tests, which need no model, browser or GPU; skips those of a GPU without one."""
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skipif(not _has_gpu(), reason="no CUDA device"))
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        whole = WHOLE_PARTS.intersection(getattr(item, "fixturenames", ()))
        if "tab" in whole:
            item.add_marker("browser")
        marked = any(item.get_closest_marker(name) for name in ("slow", "browser", "gpu"))
        if (room in ROOMS_WITHOUT_A_MODEL or room.endswith(".py")) and not whole and not marked:
            item.add_marker("unit")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published data that is too large for the repository."""
    folder = SHARED
    if not folder.is_dir():
        pytest.skip(f"no published data at {folder}; set RADRL_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def phantom_set(tmp_path_factory) -> Path:
    """A folder with train.jsonl (8 films) and test.jsonl (4 films), drawn at 64 pixels. Not to be changed."""
    from radrl.data import phantom

    folder = tmp_path_factory.mktemp("phantom")
    phantom.write(folder, {"train": 8, "test": 4}, size=64, workers=1)
    return folder


@pytest.fixture(scope="session")
def examples(phantom_set):
    """The training Examples of the phantom set: every task, each with a trace."""
    from radrl.manifest.example_set import read_manifests

    return read_manifests([phantom_set / "train.jsonl"])


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory, examples) -> Path:
    """A saved tiny model whose tokenizer knows the phantom set. Not to be changed."""
    from radrl.models import loading
    from radrl.models.tiny import make_tiny, tokenizer_texts

    folder = tmp_path_factory.mktemp("tiny") / "model"
    loading.save(*make_tiny(tokenizer_texts(examples), image_size=64), folder)
    return folder


@pytest.fixture
def tiny(tiny_folder):
    """A fresh copy of the tiny model in evaluation mode, and its processor."""
    from radrl.models import loading

    model, processor = loading.load(str(tiny_folder))
    return model.eval(), processor


@pytest.fixture
def refusal():
    """``refusal(function, *args)`` returns the message of the UserError it must raise: one printable line."""
    from radrl.errors import UserError

    def call(function, *args, **kwargs) -> str:
        with pytest.raises(UserError) as caught:
            function(*args, **kwargs)
        text = str(caught.value)
        assert text.isprintable(), text  # one line, no control characters
        return text

    return call


@pytest.fixture
def make_recipe(tmp_path, phantom_set):
    """``make_recipe("a.b=c", ...)`` loads a recipe for the tiny model on the phantom set, its runs below tmp_path."""
    from radrl.commands.load_recipe import load_recipe

    def make(*overrides: str, out: str = "run"):
        file = tmp_path / "recipe.yaml"
        file.write_text(
            f"out: {out}\nmodel: {{start: tiny, image_size: 64}}\n"
            f"data: {{train: ['{phantom_set}/train.jsonl'], test: ['{phantom_set}/test.jsonl']}}\n"
        )
        return load_recipe(file, overrides)

    return make
