"""Makes golden_radcliq.json: what the authors' packages say of a few pairs, on the tiny archives of `write_tiny`.

    python tests/scoring/make_golden_radcliq.py PYTHON

PYTHON has radgraph 0.1.18, f1chexbert 0.0.2, bert-score 0.3.13 and transformers < 5 (4.57.1 was used). The archives are
not kept: they are made again from numpy's frozen generator, and no decision in the golden graphs is closer than 1e-3.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from neural_archives import write_tiny

from radrl.scoring.neural.doctor import reference_graphs

HERE = Path(__file__).parent
PAIRS = [
    ["Small left pleural effusion. No pneumothorax.", "There is a small left effusion. No pneumothorax."],
    ["Heart size is normal.", "Mild cardiomegaly/enlarged heart: (1.5 cm), 20%, stable."],
    ["no acute disease /. x-ray of 2 views", "No acute cardiopulmonary abnormality!"],
    ["\u200b", "Right lower-lobe opacity, \u200b likely pneumonia."],
    ["None", "ZZZ QQQ pneumoconiosis-like é ß"],
    ["a", "-" * 600 + " The left lung is clear."],  # above 512 pieces
]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = write_tiny(Path(folder))
        script = HERE.parents[1] / "benchmarks" / "reference_radcliq.py"
        command = [sys.argv[1], "-I", str(script), str(root)]
        ran = subprocess.run(command, input=json.dumps(PAIRS), capture_output=True, text=True)
        if ran.returncode:
            raise SystemExit(ran.stderr[-2000:])
        found = json.loads(ran.stdout)["found"]
        texts = [text for pair in PAIRS for text in pair]
        found["graphs-xl"] = reference_graphs(root / "radgraph-xl", texts, sys.argv[1])["graphs"]
        found["empty"] = reference_graphs(root / "radgraph", [""], sys.argv[1])["graphs"][0]
    (HERE / "golden_radcliq.json").write_text(json.dumps({"pairs": PAIRS, **found}) + "\n")


if __name__ == "__main__":
    main()
