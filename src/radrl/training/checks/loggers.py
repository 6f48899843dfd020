"""Where a run's figures are shown: TensorBoard, Weights & Biases, Trackio, MLflow, by TRL's ``report_to``.

transformers writes to them; here it is seen that they are installed, that W&B stays on this machine unless it is asked
to send (``WANDB_MODE=online``), and that each stage's run is one of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from radrl.errors import UserError, nearest, one_line
from radrl.recipe.schema import Recipe, StageKind
from radrl.training.checks.packages_needed import require

PACKAGES = {
    "tensorboard": ("tensorboard", "tensorboard"),
    "wandb": ("wandb", "wandb"),
    "trackio": ("trackio", "trackio"),
    "mlflow": ("mlflow", None),
}
"""The package of a logger, and radrl's extra where there is one."""


def check(recipe: Recipe, kind: StageKind) -> None:
    """Checks ``report_to`` of a stage's section.

    Raises:
        UserError: a name is not known, or its package is not installed or not set up.
    """
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    section, settings = recipe.trl_section(kind)
    asked = settings.get("report_to") or []
    for name in [asked] if isinstance(asked, str) else asked:
        key = f"{recipe.file}: key '{section}.report_to': '{name}'"
        if name in ("none", "all"):  # all: those that are installed
            continue
        if name in PACKAGES:
            require(PACKAGES[name][0], key, PACKAGES[name][1])
        elif name not in INTEGRATION_TO_CALLBACK:
            known = ["none", "all", *INTEGRATION_TO_CALLBACK]
            raise UserError(one_line(f"{key} is no logger{nearest(name, known)}; choose from {', '.join(known)}"))
        else:
            try:  # each says itself what it misses
                INTEGRATION_TO_CALLBACK[name]()
            except Exception as error:
                raise UserError(one_line(f"{key}: {error}")) from None


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Keeps W&B's files in ``folder`` while the block runs, offline unless ``WANDB_MODE`` says otherwise, and ends its
    run with the block: the next stage of this process has another."""
    ours = {
        "WANDB_MODE": "offline", "WANDB_DIR": str(folder), "WANDB_ERROR_REPORTING": "false", "WANDB_QUIET": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip
    ours = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(ours)
    exit_code = 1
    try:
        yield
        exit_code = 0
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "wandb":
            raise
        raise UserError(one_line(f"W&B: {error} (without WANDB_MODE it stays on this machine)")) from None
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and getattr(wandb, "run", None) is not None:
            wandb.finish(exit_code=exit_code)
        for name in ours:
            os.environ.pop(name, None)
