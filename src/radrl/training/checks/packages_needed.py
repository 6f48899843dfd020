"""Packages that a setting of a recipe needs and that are not part of radrl: one line where they are missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radrl.errors import UserError, one_line


def require(package: str, key: str, extra: str | None = None) -> None:
    """Checks that a package is installed, without importing it.

    Args:
        package: its name, such as ``wandb``; as Python imports it.
        key: what asks for it, as the message names it: ``f"{recipe.file}: key 'grpo.report_to': 'wandb'"``.
        extra: what to install: radrl's extra of this name (pyproject.toml), or, where None, the package itself.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec(package) is None:
        wanted = PIP.get(package, package) if extra is None else f"'radrl[{extra}]'"
        raise UserError(one_line(f"{key} needs the package {package}: pip install {wanted}"))


# The package of an optimiser, by what stands in its name; the first that fits. Others are torch's.
OPTIMIZERS = {
    "galore": "galore_torch",
    "apollo": "apollo_torch",
    "schedule_free": "schedulefree",
    "grokadamw": "grokadamw",
    "lomo": "lomo_optim",
    "stable_adamw": "optimi",
    "torch_4bit": "torchao",
    "torch_8bit": "torchao",
    "anyprecision": "torchdistx",
    "torch_xla": "torch_xla",
    "torch_npu": "torch_npu",
    "ademamix": "bitsandbytes",
    "lion": "bitsandbytes",
    "paged": "bitsandbytes",
    "bnb": "bitsandbytes",
    "8bit": "bitsandbytes",
}
KEYS = {"use_liger_kernel": "liger_kernel", "deepspeed": "deepspeed", "use_vllm": "vllm"}
PIP = {
    "apollo_torch": "apollo-torch",
    "galore_torch": "galore-torch",
    "liger_kernel": "liger-kernel",
    "lomo_optim": "lomo-optim",
    "optimi": "torch-optimi",
}
"""What pip calls a package, where that is not how Python imports it."""


def check(file: Path, section: str, settings: Mapping[str, Any]) -> None:
    """Checks that the packages are installed that an optimiser, kernel or engine of TRL's settings needs; loggers are
    looked at in loggers.py.

    Raises:
        UserError: one is not.
    """
    wanted = [(key, package) for key, package in KEYS.items() if settings.get(key)]
    name = str(settings.get("optim", ""))
    package = next((package for part, package in OPTIMIZERS.items() if part in name), None)
    for key, needed in [*wanted, *([("optim", package)] if package else [])]:
        require(needed, f"{file}: key '{section}.{key}': '{settings[key]}'", None)
