"""What test data share with training data: patients, studies, and images, by file or by content.

It is asked of the index alone, where no line is read again: seconds for a million Examples. Only image files of equal
size are opened, to compare their bytes. Copies that were resized or encoded anew are for `radrl data check`.
"""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from radrl.manifest.example_set import ExampleSet

MOST_READ = 50_000  # training files whose bytes are looked at
PIECE = 16 << 10  # bytes at the beginning, middle and end of a file
Bools = NDArray[np.bool_]
Keys = NDArray[np.int64]


class Leak(NamedTuple):
    """How many Examples of a set are not held out from another, and which patients, studies and images they share.
    ``first`` is the id of the first such Example. Of the ``files`` of the set, ``compared`` were told apart from all of
    the other set's by path, size and bytes; the others' bytes were not looked at."""

    examples: int
    patients: int
    studies: int
    images: int
    first: str
    files: int
    compared: int

    @property
    def in_words(self) -> str:
        """Returns what is shared, in words: "2 patients and 5 images"; "1 Example" where nothing wider is known."""
        counts = {"patient": self.patients, "study": self.studies, "image": self.images}
        named = [f"{n} {name if n == 1 else _PLURAL[name]}" for name, n in counts.items() if n]
        if not named:
            named = [f"{self.examples} Example{'s' if self.examples != 1 else ''}"]
        return " and ".join([", ".join(named[:-1]), named[-1]] if named[1:] else named)


_PLURAL = {"patient": "patients", "study": "studies", "image": "images"}


def find_leaks(mine: ExampleSet, other: ExampleSet) -> Leak:
    """Returns what of ``mine`` is in ``other`` too.

    A study counts where one side does not know the patient; an id where an Example has no patient, study or image.
    """
    patient, study, images, ids = _columns(mine)
    others_patient, others_study, others_images, others_ids = _columns(other)
    by_patient = _in(patient, others_patient)
    by_study = np.where(patient == 0, _in(study, others_study), _in(study, others_study[others_patient == 0]))
    files, others_files = _files(mine, images), _files(other, others_images)
    same = _in(files.file, others_files.file)
    copies, compared = _copies(mine, other, files.left(~same), others_files)
    both = same | np.isin(files.file, copies)
    by_image = np.isin(images, files.of[both])
    alone = (patient == 0) & (study == 0) & ~np.isin(images, files.of)
    by_id = alone & _in(ids, others_ids)
    for i in np.flatnonzero(by_id).tolist():  # ids such as "1" may be in both by chance
        by_id[i] = mine[i].question == other[int(np.flatnonzero(others_ids == ids[i])[0])].question
    leaking = np.flatnonzero(by_patient | by_study | by_image | by_id)
    return Leak(
        examples=len(leaking),
        patients=len(np.unique(patient[by_patient])),
        studies=len(np.unique(study[by_study])),
        images=len(np.unique(files.file[both])),
        first=mine[int(leaking[0])].id if len(leaking) else "",
        files=len(np.unique(files.file)),
        compared=len(np.unique(files.file[same])) + compared,
    )


def _columns(examples: ExampleSet) -> tuple[Keys, Keys, Keys, Keys]:
    index, rows = examples.manifest_index, examples.rows
    return index.patients[rows], index.studies[rows], index.images[rows], index.ids[rows]


def _in(keys: Keys, others: Keys) -> Bools:
    """Returns which keys are among the others; 0 means none and never is."""
    return np.isin(keys, others) & (keys != 0)


class _Files(NamedTuple):
    """Image files of a set: the images (hash) each is one of, the file (hash), its size."""

    of: Keys
    file: Keys
    size: Keys

    def left(self, keep: Bools) -> _Files:
        return _Files(self.of[keep], self.file[keep], self.size[keep])


def _files(examples: ExampleSet, images: Keys) -> _Files:
    index = examples.manifest_index
    return _Files(index.file_of, index.file, index.file_size).left(np.isin(index.file_of, images))


def _copies(mine: ExampleSet, other: ExampleSet, files: _Files, others: _Files) -> tuple[Keys, int]:
    """Returns the files of mine that have the bytes of one of the other's, and how many of mine were compared: all
    those of a size that is not too frequent."""
    sizes, often = np.unique(others.size[np.isin(others.size, files.size)], return_counts=True)
    order = np.argsort(often, kind="stable")
    looked_at = sizes[order][np.cumsum(often[order]) <= MOST_READ]
    compared = len(np.unique(files.file[~np.isin(files.size, sizes) | np.isin(files.size, looked_at)]))
    theirs = set(_digests(other, others, looked_at).values())
    copies = [file for file, digest in _digests(mine, files, looked_at).items() if digest in theirs]
    return np.array(copies, dtype=np.int64), compared


def _digests(examples: ExampleSet, files: _Files, sizes: Keys) -> dict[int, bytes]:
    """Returns a digest of each file of these sizes; files that cannot be read are left out."""
    wanted = np.isin(files.size, sizes)
    keys, first = np.unique(examples.image_hashes, return_index=True)
    rows = first[np.searchsorted(keys, np.unique(files.of[wanted]))]
    digests: dict[int, bytes] = {}
    known = set(files.file[wanted].tolist())
    for row in rows.tolist():
        for image in examples[row].images:
            try:
                with open(f"{examples.root(row)}/{image}", "rb", buffering=0) as content:
                    state = os.fstat(content.fileno())
                    file = hash((state.st_dev, state.st_ino))
                    if file in known and file not in digests:
                        digests[file] = _digest(content.fileno(), state.st_size)
            except OSError:
                continue
    return digests


def _digest(file: int, size: int) -> bytes:
    pieces = [os.pread(file, PIECE, start) for start in sorted({0, max(0, size // 2), max(0, size - PIECE)})]
    return hashlib.blake2b(b"".join([size.to_bytes(8, "big"), *pieces]), digest_size=16).digest()
