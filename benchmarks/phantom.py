"""Prints how many phantoms one core draws a second: python benchmarks/phantom.py [size]."""

from __future__ import annotations

import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

from radrl.data.phantom import examples, make

COUNT = 300
size = int(sys.argv[1]) if len(sys.argv) > 1 else 192
make(0, 0, size)
start = time.process_time()
phantoms = [make(0, index, size) for index in range(COUNT)]
drawn = time.process_time()
for index, phantom in enumerate(phantoms):
    examples(phantom, f"p{index}", "p.png", index)
asked = time.process_time()
print(f"{size} px: {COUNT / (drawn - start):.0f} images/s drawn, {COUNT / (asked - drawn):.0f} images/s asked about")
