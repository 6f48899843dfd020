"""A manifest of RadVLM's size (1,115,021 Examples): how fast it is prepared and read, what memory it takes, how soon
training starts on it.

    python benchmarks/big_manifest.py [--rows 1115021] [--folder runs/big]

A made-up CheXpert Plus table is prepared without copying images (the manifest names the published ones). Each step runs
in a process of its own, whose time is its wall time from start to end and whose memory is its largest resident set.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

STUDIES = 20  # a patient
SENTENCES = (
    "The heart is mildly enlarged.", "Small left pleural effusion.", "No pneumothorax.", "The lungs are clear.",
    "There is bibasilar atelectasis.", "Cardiomediastinal contours are normal.", "No acute osseous abnormality.",
    "Endotracheal tube terminates above the carina.", "Mild interstitial pulmonary edema.", "Low lung volumes.",
)  # fmt: skip
COLUMNS = (
    "", "path_to_image", "path_to_dcm", "frontal_lateral", "ap_pa", "deid_patient_id", "patient_report_date_order",
    "report", "section_narrative", "section_clinical_history", "section_history", "section_comparison",
    "section_technique", "section_procedure_comments", "section_findings", "section_impression",
    "section_end_of_impression", "section_summary", "section_accession_number", "age", "sex", "race", "ethnicity",
    "interpreter_needed", "insurance_type", "recent_bmi", "deceased", "split",
)  # fmt: skip


def publish(root: Path, rows: int) -> None:
    """Writes the table, and images that are there: a patient's folder is a link to one that all share."""
    draw = random.Random(0)
    (root / "PNG/train").mkdir(parents=True)
    for study in range(1, STUDIES + 1):
        folder = root / f"PNG/shared/study{study}"
        folder.mkdir(parents=True)
        Image.new("L", (64, 64), 10 * study).save(folder / "view1_frontal.png")
    with (root / "df_chexpert_plus_240401.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for number in range(rows):
            patient, study = f"patient{number // STUDIES + 1:05d}", number % STUDIES + 1
            if study == 1:
                (root / f"PNG/train/{patient}").symlink_to("../shared")
            findings = " ".join(draw.choices(SENTENCES, k=9))
            table.writerow(
                {
                    "": number, "path_to_image": f"train/{patient}/study{study}/view1_frontal.jpg",
                    "frontal_lateral": "Frontal", "ap_pa": "AP", "deid_patient_id": patient, "report": findings,
                    "section_findings": findings, "section_impression": "No acute disease.", "age": 60, "sex": "Female",
                    "split": "train",
                }
            )  # fmt: skip


def timed(what: str, *command: str) -> float:
    """Runs a command; prints and returns its seconds, and the largest memory of it or of one of its children."""
    started = time.monotonic()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode:
        sys.exit(f"{what}: {done.stderr[-2000:]}")
    print(f"{what}: {seconds:.1f} s. {done.stdout.strip()}", flush=True)
    return seconds


MEMORY = "import resource; memory = lambda who: resource.getrusage(who).ru_maxrss // 1024\n"
PREPARE = (
    MEMORY
    + """
import sys
from pathlib import Path
from radrl.data.published.prepare import Settings, prepare
from radrl.data.published.asking import Asking
settings = Settings(Asking(('report',)), images=False)
made = prepare('chexpert_plus', Path(sys.argv[1]), Path(sys.argv[2]), settings, workers=2)
print(made.examples, f'{memory(resource.RUSAGE_SELF)} MB, a worker {memory(resource.RUSAGE_CHILDREN)} MB')
"""
)
READ = (
    MEMORY
    + """
import sys, time
from pathlib import Path
from radrl.manifest.example_set import read_manifests
before, started = memory(resource.RUSAGE_SELF), time.monotonic()
path = Path(sys.argv[1])
examples = read_manifests([path], {path: Path(sys.argv[2])})
indexed = time.monotonic() - started
rows = examples.rows_by_image(4)
grouped = time.monotonic() - started - indexed
now = memory(resource.RUSAGE_SELF)
print(f'indexed in {indexed:.1f} s, grouped by image in {grouped:.1f} s, from {before} to {now} MB')
if len(sys.argv) > 3:
    started = time.monotonic()
    count = sum(1 for _ in examples)
    seconds = time.monotonic() - started
    print(f'{count} Examples streamed, each checked, in {seconds:.1f} s, {memory(resource.RUSAGE_SELF)} MB')
"""
)
TRAIN = (
    MEMORY
    + """
import sys
from radrl.commands.main import main
sys.argv = ['radrl', 'sft', sys.argv[1]]
main()
print(f'{memory(resource.RUSAGE_SELF)} MB')
"""
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_115_021)
    options.add_argument("--folder", type=Path, default=Path("runs/big"))
    asked = options.parse_args()
    folder = asked.folder.resolve()
    root = folder / "published"
    if not root.exists():
        started = time.monotonic()
        publish(root, asked.rows)
        print(f"generated {asked.rows} rows in {time.monotonic() - started:.0f} s")
    manifest = folder / "data/train.jsonl"
    if not manifest.exists():
        seconds = timed("prepare", "-c", PREPARE, str(root), str(folder / "data"))
        print(f"  {asked.rows / seconds:,.0f} records/s; {os.cpu_count()} cores; {manifest.stat().st_size >> 20} MB")
    timed("read", "-c", READ, str(manifest), str(root))
    timed("read and stream", "-c", READ, str(manifest), str(root), "all")
    small = folder / "data/small.jsonl"
    with manifest.open() as lines:
        small.write_text("".join(next(lines) for _ in range(64)))
    for name in ("small", "train"):
        recipe = folder / f"{name}.yaml"
        source = {"manifest": str(folder / f"data/{name}.jsonl"), "images": str(root)}
        values = {
            "out": f"run-{name}", "model": {"start": "tiny", "image_size": 64}, "data": {"train": [source]},
            "sft": {"max_steps": 1, "per_device_train_batch_size": 2, "save_strategy": "no"},
        }  # fmt: skip
        recipe.write_text(json.dumps(values))
        subprocess.run(["rm", "-rf", str(folder / f"run-{name}")], check=True)
        timed(f"radrl sft, 1 step, {name} manifest", "-c", TRAIN, str(recipe))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
