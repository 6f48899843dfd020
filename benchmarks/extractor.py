"""How many reports a second does the finding extractor read, on one core?

    python benchmarks/extractor.py [--repeats 5]

All Open-i reports (findings and impression), each time in a process of its own, so that nothing was read before.
Prints the median and the best of the repeats, with and without the spans of what is said. ``forgetful`` remembers no
sentence at all, as if no two reports shared one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from openi import reports

from radrl.clinical import extract


def once(texts: list[str], spans: bool, forgetful: bool) -> float:
    """Returns reports a second."""
    extract.findings("The lungs are clear.")  # the vocabulary is read once a process
    if forgetful:
        extract.MOST_KEPT = 0  # what is kept is thrown away before the next sentence
    begin = time.perf_counter()
    for text in texts:
        extract.findings(text, spans=spans)
    return len(texts) / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    texts = [text for text in reports() if text]
    print(f"{len(texts)} reports of {statistics.mean(len(text.split()) for text in texts):.0f} words")
    for name, spans, forgetful in (
        ("as in a reward", False, False),
        ("with spans", True, False),
        ("forgetful", False, True),
    ):
        found = []
        for _ in range(options.repeats):
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                found.append(pool.submit(once, texts, spans, forgetful).result())
        print(f"{name:<16}{statistics.median(found):8,.0f} reports/s in the median, {max(found):,.0f} at best")


if __name__ == "__main__":
    main()
