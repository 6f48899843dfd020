"""radrl: train and judge medical vision-language models with clinical rewards.

The commands as functions: a recipe in, a stage folder or a page out. The parts that they are made of are in
`radrl.data`, `radrl.scoring`, `radrl.training` and `radrl.evaluation`; Examples, Answers and Scores in `radrl.example`.
"""

import os
from typing import TYPE_CHECKING

from radrl.support.lazy import lazy_names

if TYPE_CHECKING:
    from radrl.commands.evaluate import run_comparison, run_evaluation
    from radrl.commands.load_recipe import load_recipe
    from radrl.commands.train import run_coldstart, run_grpo, run_sft

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "load_recipe",
    "run_coldstart",
    "run_comparison",
    "run_evaluation",
    "run_grpo",
    "run_sft",
]

# No network call that the user did not ask for: TRL and huggingface_hub would report usage. Set here, before they load.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

__getattr__ = lazy_names(
    __name__,
    {
        "load_recipe": "radrl.commands.load_recipe",
        "run_coldstart": "radrl.commands.train",
        "run_comparison": "radrl.commands.evaluate",
        "run_evaluation": "radrl.commands.evaluate",
        "run_grpo": "radrl.commands.train",
        "run_sft": "radrl.commands.train",
    },
)
