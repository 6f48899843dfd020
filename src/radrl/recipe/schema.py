"""One validated YAML recipe a run.

Each command reads its own section of the recipe. The sections ``sft``, ``coldstart.sft`` and ``grpo`` are TRL's own
configs, passed through. Whatever is wrong in a recipe is a UserError of one line that names the file, the dotted key
and, for an unknown key, the nearest right one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import Field, PrivateAttr, ValidationError

from radrl.errors import UserError, one_line
from radrl.example import Task
from radrl.prompt import instructions
from radrl.prompt.messages import PromptStyle
from radrl.recipe import libraries, own_files
from radrl.recipe.augmentation import Augment
from radrl.recipe.endpoints import Judge, Teacher
from radrl.recipe.explain import first_mistake
from radrl.recipe.prompt_section import Prompt
from radrl.recipe.sections import (
    ColdStart,
    Data,
    Evaluation,
    Guards,
    Losses,
    Model,
    Name,
    Reward,
    Scoring,
    Section,
    Source,
)
from radrl.recipe.yaml_file import apply_overrides, read_mapping

if TYPE_CHECKING:
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.sft_config import SFTConfig

StageKind = Literal["sft", "coldstart", "grpo"]
"""Which training command a stage is of."""


class Recipe(Section):
    """A whole recipe: a section each, and where its paths lead. `read_recipe` reads one from a file."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Every random choice comes from it."""
    out: Name
    """Run folder, relative to the recipe's folder."""
    model: Model = Model()
    """The model to start from."""
    data: Data = Data()
    """What to train and evaluate on."""
    prompt: Prompt = Prompt()
    """How a question is put."""
    augment: Augment = Augment()
    """Random changes to training images."""
    rewards: dict[Task, Annotated[list[Reward], Field(min_length=1)]] = Field(default_factory=dict)
    """Scorers and weights for each task that is trained with GRPO."""
    scoring: Scoring = Scoring()
    """Where and with what the rewards are computed."""
    judge: Judge | None = None
    """The model that scorer ``judge`` asks."""
    losses: Losses = Losses()
    """Changes to the SFT loss."""
    guards: Guards = Guards()
    """What a training run is warned of."""
    sft: dict[str, Any] = Field(default_factory=dict)
    """Fields of ``trl.SFTConfig``."""
    coldstart: ColdStart = ColdStart()
    """SFT that teaches thinking."""
    grpo: dict[str, Any] = Field(default_factory=dict)
    """Fields of ``trl.GRPOConfig``."""
    evaluation: Evaluation = Evaluation()
    """How completions are made for an evaluation."""
    samples_every: int = Field(default=0, ge=0)
    """GRPO: of every so many steps a few groups are stored to be read, with texts and pictures of the data; 0: none."""

    _file: Path = PrivateAttr(default=Path("recipe.yaml"))

    @property
    def file(self) -> Path:
        """The file this recipe was read from, absolute."""
        return self._file

    def path(self, p: str) -> Path:
        """Returns a path of the recipe: absolute as it is, else relative to the recipe's folder."""
        return own_files.below(self._file.parent)(p)

    def manifests(self, split: Literal["train", "dev", "test"]) -> list[Path]:
        """Returns the manifests of a split.

        Raises:
            UserError: the recipe names none.
        """
        return [Path(source.manifest) for source in self.sources(split)]

    def sources(self, split: Literal["train", "dev", "test"]) -> list[Source]:
        """Returns the sources of a split, their paths absolute. Raises UserError where the recipe names none."""
        sources = getattr(self.data, split)
        if not sources:
            raise UserError(one_line(f"{self._file}: key 'data.{split}' is empty; name at least one manifest there"))
        return [
            source.model_copy(
                update={
                    "manifest": str(self.path(source.manifest)),
                    "images": source.images and str(self.path(source.images)),
                }
            )
            for source in sources
        ]

    def style(self, thinking: bool | None = None) -> PromptStyle:
        """Returns how questions are put: the ``prompt`` section, with or without thinking where that is given."""
        style = self.prompt.over(PromptStyle())
        return style if thinking is None else replace(style, thinking=thinking)

    def model_start(self) -> str:
        """Returns ``tiny``, the absolute path of a model folder, or a hub id.

        Raises:
            UserError: the recipe names none, or it is written as a path but there is no such folder.
        """
        if self.model.start is None:
            raise UserError(one_line(f"{self._file}: key 'model.start' is missing; add it"))
        start = self._start()
        if os.path.isabs(start) and not Path(start).is_dir():
            raise UserError(one_line(f"{self._file}: key 'model.start': no such folder: {start}"))
        return start

    def _start(self) -> str:
        """Returns the start with a path made absolute, whether it is there or not."""
        start = str(self.model.start)
        folder = self.path(start)
        written_as_path = start.startswith((".", "/", "~")) or start.count("/") > 1
        return str(folder) if start != "tiny" and (written_as_path or folder.is_dir()) else start

    def trl_section(self, kind: StageKind) -> tuple[str, dict[str, Any]]:
        """Returns the section of TRL's settings for a training command: its dotted name and its settings."""
        sections: dict[StageKind, tuple[str, dict[str, Any]]] = {
            "sft": ("sft", self.sft),
            "coldstart": ("coldstart.sft", self.coldstart.sft),
            "grpo": ("grpo", self.grpo),
        }
        return sections[kind]

    def sft_config(self, out_dir: str | Path, **ours: Any) -> SFTConfig:
        """Returns TRL's config of the ``sft`` section; its keys win over ``ours``. Raises UserError."""
        return self._build("trl.SFTConfig", self.sft, "sft", out_dir, ours)

    def coldstart_config(self, out_dir: str | Path, **ours: Any) -> SFTConfig:
        """Returns TRL's config of the ``coldstart.sft`` section; its keys win over ``ours``. Raises UserError."""
        return self._build("trl.SFTConfig", self.coldstart.sft, "coldstart.sft", out_dir, ours)

    def grpo_config(self, out_dir: str | Path, **ours: Any) -> GRPOConfig:
        """Returns TRL's config of the ``grpo`` section; its keys win over ``ours``. Raises UserError."""
        # TRL would multiply the KL term by the policy's ratio (arXiv 2512.02556), which changes its gradient also where
        # the ratio is 1; GRPO's papers do not (arXiv 2402.03300, 2512.10691)
        ours = {"use_bias_correction_kl": False, **ours}
        return self._build("trl.GRPOConfig", self.grpo, "grpo", out_dir, ours)

    def _build(self, kind: libraries.Kind, section: dict, name: str, out_dir: str | Path, ours: dict) -> Any:
        fixed = {"output_dir": str(out_dir), "seed": self.seed}
        ours = {**libraries.evaluation_defaults(section, name, bool(self.data.dev)), **ours}
        return libraries.build_config(kind, section, name, self._file, ours, fixed)

    def to_yaml(self) -> str:
        """Returns the recipe as YAML that can be read from any folder: its paths are absolute, defaults left out, files
        of the user's own pinned by their digests (own_files.py)."""
        values = self.model_dump(mode="json", exclude_unset=True)
        values["out"] = str(self.path(self.out))
        if self.model.start is not None:
            values["model"]["start"] = self._start()
        for split in {"train", "dev", "test"} & values.get("data", {}).keys():
            named = (
                [source.model_dump(exclude_none=True) for source in self.sources(split)]
                if values["data"][split]
                else []
            )
            values["data"][split] = [source if len(source) > 1 else source["manifest"] for source in named]
        for name, folder in values.get("scoring", {}).get("weights", {}).items():
            values["scoring"]["weights"][name] = str(self.path(folder))
        for key in ("cache", "prompt"):
            if self.judge and getattr(self.judge, key):
                values["judge"][key] = str(self.path(getattr(self.judge, key)))
        if self.coldstart.teacher and self.coldstart.teacher.prompt:
            values["coldstart"]["teacher"]["prompt"] = str(self.path(self.coldstart.teacher.prompt))
        own_files.pinned(values, self.path)
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Returns the recipe of a file, with each ``a.b=c`` of ``overrides`` applied first.

    Checked is all that can be without importing TRL, PEFT and the scorers (`radrl.commands.load_recipe` does).

    Raises:
        UserError: something in it is wrong, in one line with file, line or dotted key, and the fix.
    """
    file = Path(os.path.abspath(Path(path)))
    values = read_mapping(file)
    apply_overrides(values, overrides)
    try:
        recipe = Recipe.model_validate(values, context={"path": own_files.below(file.parent)})
    except ValidationError as error:
        raise UserError(one_line(f"{file}: {first_mistake(error, Recipe)}")) from None
    recipe._file = file
    helpers: dict[instructions.Kind, Judge | Teacher | None] = {
        "judge": recipe.judge,
        "teacher": recipe.coldstart.teacher,
    }
    for kind, model in helpers.items():
        if model and model.prompt:
            instructions.read_instruction(kind, recipe.path(model.prompt))
    return recipe
