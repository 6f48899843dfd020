"""Training through TRL: SFT, cold start, GRPO.

For a script: `train_sft` and `train_grpo` train a model on Examples into a `Stage`, as the commands do;
`SharedPrefixGRPOTrainer` is TRL's trainer with the shared prefix, and nothing else of radrl; `write_traces` asks a
teacher.
"""

from typing import TYPE_CHECKING

from radrl.support.lazy import lazy_names

if TYPE_CHECKING:
    from radrl.training.grpo import train_grpo
    from radrl.training.sft import train_sft
    from radrl.training.shared_prefix.trainer import SharedPrefixGRPOTrainer
    from radrl.training.stage import Stage
    from radrl.training.teacher import write_traces

__all__ = ["SharedPrefixGRPOTrainer", "Stage", "train_grpo", "train_sft", "write_traces"]

__getattr__ = lazy_names(
    __name__,
    {
        "SharedPrefixGRPOTrainer": "radrl.training.shared_prefix.trainer",
        "Stage": "radrl.training.stage",
        "train_grpo": "radrl.training.grpo",
        "train_sft": "radrl.training.sft",
        "write_traces": "radrl.training.teacher",
    },
)
