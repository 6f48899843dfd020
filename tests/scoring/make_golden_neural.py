"""Makes golden_neural.json: what the authors' packages say of the 540 pairs of text_pairs.py, on the tiny archives of
`write_tiny`.

    python tests/scoring/make_golden_neural.py PYTHON WORKERS

PYTHON has the packages of reference_neural.py (with transformers 4.57.6, scikit-learn 1.7.2 and pydantic), WORKERS is
the folder ``verl/custom_rewards/reward_server`` of RadVLM-GRPO. The archives are not kept: they are made again from
numpy's frozen generator. Takes ten minutes.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from neural_archives import write_tiny
from text_pairs import pairs

HERE = Path(__file__).parent


def digest(texts: list[tuple[str, str]]) -> str:
    """Returns what the pairs are known by."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def rounded(value):
    """Returns the same with numbers of eight decimals: the packages compute in float32."""
    if isinstance(value, float):
        return round(value, 8)
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


def main() -> None:
    texts = pairs()
    with tempfile.TemporaryDirectory() as folder:
        root = write_tiny(Path(folder))
        command = [sys.argv[1], "-I", str(HERE / "reference_neural.py"), str(root), sys.argv[2]]
        ran = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True)
        if ran.returncode:
            raise SystemExit(ran.stderr[-2000:])
    found = json.loads(ran.stdout)
    found["labels"] = [["".join(map(str, one)) for one in pair] for pair in found["labels"]]
    (HERE / "golden_neural.json").write_text(json.dumps({"texts": digest(texts), **rounded(found)}) + "\n")


if __name__ == "__main__":
    main()
