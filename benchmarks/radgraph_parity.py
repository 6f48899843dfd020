"""Is our RadGraph byte for byte the package's, on random weights of the real shapes?

    python benchmarks/radgraph_parity.py WEIGHTS --python PYTHON [--count 500] [--keep graphs.json] [--chunk 500]

WEIGHTS is an archive (``make_weights.py``); PYTHON an interpreter with ``radgraph`` and ``transformers<5``. Compares
the JSON of the first ``--count`` different Open-i reports, and of odd texts (empty, blanks, zero-width, above 512
pieces, signs), at batches of 1, 16 and 64, and the splitter on every Open-i report. The package's graphs are kept in
``--keep``, ``--chunk`` reports a call, so that a slow machine can go on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

from openi import reports

from radrl.scoring.neural.doctor import compare, our_graphs, reference_graphs
from radrl.scoring.neural.graphs import SPLITTERS
from radrl.scoring.neural.radgraph import RadGraph
from radrl.support.files import write_json

ODD = [
    "",
    " ",
    "\n\t",
    "\u200b",
    "\u200b \u200b\u200d",
    "no \u200b mass",
    "a",
    "None",
    "a/. b /? c",
    "Size (1.5%). 5%, x.",
]
ODD += [
    "no focal consolidation, effusion - or edema. " * 60,
    "pneumonoultramicroscopic" * 25 + " left.",
    "\\n \\f \\u2122",
]

_SPLIT = """
import json, sys
from radgraph.utils import preprocess_reports
texts, kind = json.load(sys.stdin)
print(json.dumps([one["sentences"][0] for one in preprocess_reports(texts, kind)]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--python", required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--chunk", type=int, default=500)
    parser.add_argument("--keep", type=Path, default=Path("graphs.json"))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    options = parser.parse_args()
    every = reports()
    texts = ODD + list(dict.fromkeys(every))[: options.count]
    kept = json.loads(options.keep.read_text()) if options.keep.is_file() else {"graphs": [], "seconds": 0.0}
    while len(kept["graphs"]) < len(texts):
        done = len(kept["graphs"])
        more = reference_graphs(options.weights, texts[done : done + options.chunk], options.python)
        kept = {**more, "graphs": kept["graphs"] + more["graphs"], "seconds": kept["seconds"] + more["seconds"]}
        write_json(options.keep, kept)
        if options.chunk < len(texts):
            print(f"package: {len(kept['graphs'])} of {len(texts)} reports, {kept['seconds']:.0f} s")
            return
    theirs, kind = kept["graphs"][: len(texts)], kept["type"]
    real = [graph["entities"].values() for graph in theirs[len(ODD) :]]
    entities, relations = [len(e) for e in real], [sum(len(x["relations"]) for x in e) for e in real]
    many = sum(e >= 30 and r >= 30 for e, r in zip(entities, relations, strict=True))
    print(f"{kind}, package {kept['version']}: {sum(entities) / len(real):.0f} entities, "
          f"{sum(relations) / len(real):.0f} relations a report; {many} of {len(real)} have 30 of both")  # fmt: skip
    split = subprocess.run([options.python, "-I", "-c", _SPLIT], input=json.dumps([every, kind]), capture_output=True,
                           text=True, check=True)  # fmt: skip
    same = sum(SPLITTERS[kind](a) == b for a, b in zip(every, json.loads(split.stdout), strict=True))
    print(f"splitter: {same} of {len(every)} reports alike")
    model = RadGraph(options.weights, "cpu")
    for batch in options.batches:
        begin = time.perf_counter()
        ours, ties = our_graphs(model, texts, batch)
        found, taken = compare(ours, ties, theirs), time.perf_counter() - begin
        print(f"batch {batch:>2}: {found.reports - len(found.different) - len(found.failed)} identical, different "
              f"{found.different} (ties: {found.ties}), package fails on {[texts[i] for i in found.failed]}; "
              f"{sum(ties)} made again in float64; {taken:.0f} s against {kept['seconds']:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
