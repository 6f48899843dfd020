"""Classification from the manifest to the page: SFT, GRPO with its rewards and audit, and an evaluation."""

from __future__ import annotations

import json

import pytest

from radrl.commands import train
from radrl.commands.evaluate import run_evaluation
from radrl.commands.load_recipe import load_recipe
from radrl.example import Example
from radrl.manifest.jsonl import read_manifest, write_manifest

LABELS = ("cardiomegaly", "pleural effusion", "consolidation", "nodule", "pneumothorax", "edema")
RECIPE = """
out: run
model: {{start: tiny, image_size: 64}}
data: {{train: [{train}], dev: [{dev}], test: [{test}], tasks: [classification], mix: {{classification: 2}}}}
rewards:
  classification:
    - {{scorer: label_f1, gate: format}}
    - {{scorer: length, weight: 0.01}}
sft: {{max_steps: 2, per_device_train_batch_size: 4, gradient_checkpointing: false}}
grpo: {{max_steps: 2, per_device_train_batch_size: 4, num_generations: 2, max_completion_length: 8, eval_steps: 1,
       gradient_checkpointing: false}}
evaluation: {{max_new_tokens: 8}}
"""


@pytest.fixture
def recipe(phantom_set, tmp_path):
    """A recipe whose manifests ask what the phantom's films show; dev and test are halves of its test films."""
    splits = {}
    for split in ("train", "test"):
        reports = [e for e in read_manifest(phantom_set / f"{split}.jsonl") if e.task == "report"]
        splits[split] = [_asked(report, k % 2 == 0) for k, report in enumerate(reports)]
    half = len(splits["test"]) // 2
    splits |= {"dev": splits["test"][:half], "test": splits["test"][half:]}
    places = {}
    for split, examples in splits.items():
        write_manifest(tmp_path / f"{split}.jsonl", examples)
        places[split] = f"{{manifest: {split}.jsonl, images: '{phantom_set}'}}"
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE.format(**places))
    return load_recipe(file)


def _asked(report: Example, listed: bool) -> Example:
    found = {finding.name for finding in report.findings if finding.presence == "present"}
    labels = tuple(label for label in LABELS if label in found)
    return Example(
        id=f"{report.id}/labels", task="classification", question="Which of these findings are there?",
        images=report.images, patient=report.patient, labels=labels, reference="" if labels else "No finding.",
        **{"choices" if listed else "label_set": LABELS}, meta={"type": "listed" if listed else "not listed"},
    )  # fmt: skip


def test_from_the_manifest_to_the_page(recipe, tmp_path):
    sft = train.run_sft(recipe)
    grpo = train.run_grpo(load_recipe(recipe.file, [f"model={{start: {sft.model}, image_size: null}}"]))
    rows = [row for row in grpo.log() if "reward" in row]
    assert len(rows) == 2
    assert {"rewards/classification/label_f1/mean", "audit/classification/clinical_metric"} <= rows[0].keys()
    page = run_evaluation(recipe, {"SFT": (str(sft.model), False), "GRPO": (str(grpo.model), False)}, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert {"label_f1", "label_f1_micro", "label_f1_macro", "label_accuracy", "format"} <= set(found["metrics"])
    assert found["baselines"]
    assert set(found["classes"]) == set(found["models"])
    assert list(found["classes"]["SFT"]) == list(LABELS)
    assert set(found["types"]) <= {"labels: listed", "labels: not listed"}
    table = (tmp_path / "out" / "table.md").read_text()
    assert "| Classification: label F1, micro |" in table
    assert "F1 of labels of classification questions" in table
    assert "classification" in page.read_text()
