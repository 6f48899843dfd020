"""Writes all that an evaluation leaves: the result files and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from radrl.evaluation.answers.header import Header
from radrl.evaluation.judge import Judgement
from radrl.manifest.example_set import ExampleSet
from radrl.output.page.evaluation_page import write_page
from radrl.output.page.first_look import Training
from radrl.output.result_files import write_outputs


def write_evaluation(
    out: Path,
    judgement: Judgement,
    test: ExampleSet,
    headers: Mapping[str, Header],
    facts: Mapping[str, Any],
    logs: Mapping[str, list[dict[str, Any]]],
    training: Mapping[str, Training],
) -> Path:
    """Writes the result files and the page of an evaluation below ``out``; returns the page.

    ``headers`` are those of the models, ``facts`` the page's, ``logs`` the training logs of stages, and
    ``training`` how the models were trained, where that is known.

    Raises:
        UserError: a file cannot be written.
    """
    examples, comparison = judgement.examples, judgement.comparison
    predictions = {name: asdict(header) for name, header in headers.items()}
    trained = {name: one._asdict() for name, one in training.items()}
    told = {**facts, "Predictions": predictions, "Training": trained}
    write_outputs(out, comparison, examples, judgement.scores, told)
    file = out / "page.html"
    answers = {name: runs[0][0] for name, runs in judgement.runs.items()}
    scores = {name: of_runs[0] for name, of_runs in judgement.scores.items()}
    write_page(file, comparison, examples, answers, scores, logs, test.roots, facts, training)
    return file
