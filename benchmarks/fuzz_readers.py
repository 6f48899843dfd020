"""10,000 damaged inputs over all readers: none crashes, hangs or opens a file outside the root; each is named.

    python benchmarks/fuzz_readers.py [--inputs 10000] [--seed 0]

Each input is the made-up copy of a data set in its official layout (tests/helpers/sets) with one thing damaged: files
cut,
bytes and words changed, columns and lines moved, links, folders, bombs, XML entities, paths that lead out.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/helpers"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/data/published"))

import sets
from test_hostile import attempt

LONGEST = 20  # seconds one input may take


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inputs", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError(f"more than {LONGEST} s")))
    names, ends, faults, slowest = sets.names(), Counter(), [], (0.0, "")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            sets.write(name, Path(folder) / name)
        for number in range(asked.seed, asked.seed + asked.inputs):
            name = names[number % len(names)]
            started = time.monotonic()
            signal.alarm(LONGEST)
            try:
                done, end = attempt(Path(folder) / name, Path(folder) / "try", name, number)
                ends[end] += 1
                slowest = max(slowest, (time.monotonic() - started, f"{name}: {done}"))
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                faults.append(f"{name}, seed {number}: {type(error).__name__}: {str(error)[:300]}")
            finally:
                signal.alarm(0)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{asked.inputs} damaged inputs over {len(names)} readers: {ends['made']} made a set of what is whole, "
          f"{ends['refused']} refused in one line, {len(faults)} faults; slowest {slowest[0]:.1f} s ({slowest[1]}); "
          f"{memory} MB")  # fmt: skip
    print(*faults[:20], sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
