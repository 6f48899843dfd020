"""Are these manifests fit to train on? ``radrl data check``.

Each manifest is a split, named as its file; of several files of one name (``a/train.jsonl b/train.jsonl``) the split is
the same. Lines are read in pieces by all cores, then each image once; about 100 bytes of each are kept.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

from radrl.data.manifests import burned_in
from radrl.data.manifests.all_lines import find_repeated_ids, find_shared_units, gather
from radrl.data.manifests.check_report import Report
from radrl.data.manifests.image_checks import Map, check_images
from radrl.data.manifests.line_checks import Asked, check_model, check_piece, pieces
from radrl.data.published.unfinished import SKIPPED, STATE
from radrl.errors import UserError


def check(
    paths: Sequence[Path],
    asked: Asked,
    *,
    images: bool = True,
    images_root: Path | None = None,
    burned_in_text: bool = False,
    workers: int = 1,
) -> Report:
    """Reads manifests and their images, and returns all that is wrong with them.

    ``images_root`` is the folder that image paths start from where that is not each manifest's own. With
    ``burned_in_text`` images that hold words are named, never the words.

    Raises:
        UserError: a manifest is missing, empty or cannot be read, or is the list of records that ``radrl data
            prepare`` left out; the model has no tokenizer, or what reads text in images is not installed.
    """
    for path in paths:
        if path.name == SKIPPED and (path.parent / STATE).is_file():
            raise UserError(f"{path}: lists the records that 'radrl data prepare' left out; name the splits beside it")
    if burned_in_text and not images:
        raise UserError("--burned-in-text looks at every image; leave --no-images out")
    if burned_in_text and (problem := burned_in.missing()):
        raise UserError(problem)
    if asked.model:
        check_model(asked.model)
    report = Report(burned_in=burned_in_text)
    of_manifest = [pieces(path) for path in paths]
    with _pool(workers) as run:
        lines = gather(paths, of_manifest, run(partial(check_piece, asked=asked), list(chain(*of_manifest))), report)
        find_repeated_ids(lines, report)
        find_shared_units("patient", lines, report)
        find_shared_units("study", lines, report)
        if images:
            check_images([images_root or path.parent for path in paths], lines, run, report)
    report.problems.sort(key=lambda problem: problem.kind)
    return report


@contextmanager
def _pool(workers: int) -> Iterator[Map]:
    """Gives a ``map`` that spreads its calls over processes."""
    if workers <= 1:
        yield map
        return
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    with ProcessPoolExecutor(workers, mp_context=context) as executor:
        try:
            yield executor.map
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
