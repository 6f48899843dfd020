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
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from radrl.errors import UserError, nearest, one_line
from radrl.example import Task
from radrl.prompt import instructions
from radrl.prompt.messages import AnswerFormat, BoxFormat, PromptStyle
from radrl.recipe import libraries, own_scorers
from radrl.recipe.augmentation import Augment
from radrl.recipe.endpoints import Judge, JudgedEndpoint, Teacher
from radrl.recipe.prompt_section import Prompt
from radrl.recipe.protocols import Column, ProtocolName
from radrl.recipe.yaml_file import Number, apply_overrides, read_mapping

if TYPE_CHECKING:
    from trl import GRPOConfig, SFTConfig

Share = Annotated[Number, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Model(_Section):
    """The model to start from."""

    start: Name | None = None
    """``tiny`` (the embedded default, random weights), a folder, or a hub id; None: only what others said is judged."""
    image_size: int | None = Field(default=None, ge=64, multiple_of=64)
    """Side of the tiny model's images in pixels (192 when not given); for ``tiny`` only."""
    min_pixels: int | None = Field(default=None, ge=1)
    """Smaller images are enlarged to this many pixels, the ratio of their sides kept; None: the processor's own."""
    max_pixels: int | None = Field(default=None, ge=1)
    """Larger images are shrunk to this many pixels; None: the processor's own."""
    dtype: Literal["float32", "bfloat16", "auto"] = "float32"
    """Type of the weights; ``auto`` is what the model was saved in."""
    lora: dict[str, Any] | None = None
    """Arguments of ``peft.LoraConfig``; None trains all weights."""
    shared_prefix: bool = True
    """GRPO computes image and prompt once a group where it can; false is TRL's own path, slower and equal."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise ValueError("min_pixels should not be above max_pixels")
        if self.image_size is not None and self.start != "tiny":
            raise ValueError("image_size is for 'start: tiny' only; use min_pixels and max_pixels")
        return self


class Source(_Section):
    """A manifest, and how much of it is taken."""

    manifest: Name
    """The file, relative to the recipe's folder."""
    images: Name | None = None
    """The folder its image paths start from, relative to the recipe's folder; None: the manifest's own."""
    weight: Annotated[Number, Field(gt=0)] | None = None
    """How often each of its Examples is taken: 3 thrice, 0.25 every fourth, drawn from the seed."""
    count: int | None = Field(default=None, ge=1)
    """How many of its Examples are taken instead; where there are fewer, they are taken again."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.weight is not None and self.count is not None:
            raise ValueError("give weight or count, not both")
        return self


Sources = list[Annotated[Source, BeforeValidator(lambda v: {"manifest": v} if isinstance(v, str) else v)]]


class Data(_Section):
    """Manifests, and which of their Examples to keep. A manifest is a path, or a section with its share in a mix."""

    train: Sources = []
    """Manifests to train on."""
    dev: Sources = []
    """Held-out manifests that a stage is evaluated on while it trains."""
    test: Sources = []
    """Manifests to evaluate on."""
    tasks: list[Task] | None = Field(default=None, min_length=1)
    """Keep only these tasks; None keeps all."""
    limit: int | None = Field(default=None, ge=1)
    """Keep at most so many Examples a split; None keeps all."""
    questions_per_row: int = Field(default=1, ge=1)
    """SFT: questions on one image that share a row, so that the image is computed once for them (Qwen-VL models)."""
    mix: dict[Task, Annotated[int, Field(ge=0)]] = {}
    """GRPO: how often an epoch each Example of a task is asked; 1 where not given, 0 leaves the task out."""
    quality: Literal["gold"] | None = None
    """Keep only Examples whose ``meta.quality`` equals it; None keeps all."""

    @model_validator(mode="after")
    def _mixed_to_train_only(self) -> Self:
        if any(source.weight or source.count for source in (*self.dev, *self.test)):
            raise ValueError("weight and count are for 'train'; a case that is judged twice would count as two")
        return self


class Reward(_Section):
    """One scorer in a task's reward: its value, the better the larger, gated, scaled, clipped, weighted."""

    scorer: Name
    """Name of a registered scorer, or ``FILE.py:NAME``, the file relative to the recipe's folder."""
    weight: Number = 1.0
    """Its factor in the weighted sum."""
    options: dict[str, Any] = {}
    """The scorer's own options."""
    sign: Literal["auto", "keep", "turn"] = "auto"
    """``auto`` turns the sign where lower is better, so that a reward always grows with quality."""
    gate: Name | None = None
    """A scorer of 0-1 that lets through so much of this one; at 0 the value is this scorer's worst."""
    scale: Annotated[Number, Field(gt=0)] = 1.0
    """Factor after the gate."""
    clip: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    """Lowest and highest reward, after the scale; None does not clip."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.clip and self.clip[0] >= self.clip[1]:
            raise ValueError("clip should be [low, high] with low below high")
        return self


class Scoring(_Section):
    """Where and with what the rewards are computed."""

    workers: Annotated[int, Field(ge=0, le=256)] | Literal["ray"] = 0
    """Processes of each training process that score; 0 scores in the training process; ``ray``: an actor a CPU."""
    device: Name = "auto"
    """Where neural scorers run: ``auto`` (a GPU where there is one), ``cpu``, ``cuda:1``."""
    weights: dict[str, Name] = {}
    """Folder of each neural scorer's weights, by the scorer's model name, relative to the recipe's folder."""


class Losses(_Section):
    """Changes to the SFT loss."""

    coordinate_sigma: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Width of Gaussian soft labels on coordinate tokens, in units of the image's side; 0 is off."""


class Guards(_Section):
    """What a training run is warned of. NaN and infinity end it in any case."""

    grad_norm: Annotated[Number, Field(ge=0)] = 10.0
    """Warn of a gradient norm of more than so many times its median over the steps before; 0 is off."""
    no_spread: int = Field(default=20, ge=0)
    """GRPO: warn when for so many steps in a row no group has two different rewards; 0 is off."""
    stop: bool = False
    """Whether such a warning, or that of weights that stand still, ends the run."""


class ColdStart(_Section):
    """SFT that teaches thinking, mixed with direct answers so that these are not forgotten (arXiv 2512.10691)."""

    thinking_share: Share = 0.5
    """Share of the training Examples asked with thinking."""
    teacher: Teacher | None = None
    """Who writes traces for Examples that have none; None uses the traces in the manifests."""
    sft: dict[str, Any] = {}
    """Fields of ``trl.SFTConfig``."""


class JudgedModel(_Section):
    """What is particular to one model of an evaluation; what is not given is the recipe's."""

    box_format: BoxFormat | None = None
    """Notation in which this model writes boxes."""
    answer: AnswerFormat | None = None
    """How this model is asked to write its answer."""
    prompt: Prompt | None = None
    """A preset's name, or keys of the ``prompt`` section that replace the recipe's."""
    min_pixels: int | None = Field(default=None, ge=1)
    """Smallest area this model's images are resized to; None: ``model.min_pixels``, else its processor's own. Of a file
    of predictions: what they were resized to, by Qwen2.5-VL's rule, for its boxes in pixels; None: not resized."""
    max_pixels: int | None = Field(default=None, ge=1)
    """The same, largest area."""


class Evaluation(_Section):
    """How completions are made for an evaluation: the same for every model."""

    protocol: ProtocolName | None = None
    """A publication whose prompts, decoding, text preparation and columns are taken (`radrl.recipe.protocols`)."""
    metrics: list[Column] = []
    """Scorers that are reported beside the usual ones and are no rewards: names, or ``{scorer, options}``."""
    models: dict[Name, JudgedModel] = {}
    """What is particular to a model, by the name that ``--model NAME=…`` gives it."""
    top_p: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """Share of the probability that is sampled from."""
    top_k: int = Field(default=0, ge=0)
    """How many of the most likely tokens are sampled from; 0: all."""
    repetition_penalty: Annotated[Number, Field(gt=0)] = 1.0
    """Above 1 makes tokens that were there before less likely."""
    min_new_tokens: int = Field(default=0, ge=0)
    """Shortest completion, in tokens."""
    stop: list[Name] = []
    """Texts at which a completion ends; they are cut off."""
    generation_config: Literal["recipe", "model"] = "recipe"
    """``model`` takes what this section does not set from the model folder's own ``generation_config.json``, for an
    endpoint from the server. What ends a completion is the model's in any case."""

    backend: Literal["transformers", "vllm"] = "transformers"
    """What runs the models that are folders or hub ids."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Longest completion, in tokens."""
    thinking_max_new_tokens: int | None = Field(default=None, ge=1)
    """Longest completion of the models that are asked to think, where it should differ; the tables then say so."""
    temperature: Annotated[Number, Field(ge=0)] = 0.0
    """0 decodes greedily."""
    samples: int = Field(default=1, ge=1)
    """Completions of each Example; above 1 needs a temperature."""
    batch_size: int = Field(default=64, ge=1)
    """Completions made at once by transformers."""
    endpoints: dict[Name, JudgedEndpoint] = {}
    """Models behind an endpoint, by the name that ``--model NAME=endpoint:…`` calls them."""
    vllm: dict[str, Any] = {}
    """Arguments of ``vllm.LLM``."""

    @model_validator(mode="after")
    def _sampled(self) -> Self:
        from_model = self.generation_config == "model" and "temperature" not in self.model_fields_set
        if self.samples > 1 and not self.temperature and not from_model:
            raise ValueError("samples above 1 need a temperature above 0: greedy decoding gives one completion")
        return self


class Recipe(_Section):
    """A whole recipe. Read one with `load`."""

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
    rewards: dict[Task, Annotated[list[Reward], Field(min_length=1)]] = {}
    """Scorers and weights for each task that is trained with GRPO."""
    scoring: Scoring = Scoring()
    """Where and with what the rewards are computed."""
    judge: Judge | None = None
    """The model that scorer ``judge`` asks."""
    losses: Losses = Losses()
    """Changes to the SFT loss."""
    guards: Guards = Guards()
    """What a training run is warned of."""
    sft: dict[str, Any] = {}
    """Fields of ``trl.SFTConfig``."""
    coldstart: ColdStart = ColdStart()
    """SFT that teaches thinking."""
    grpo: dict[str, Any] = {}
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
        return Path(os.path.normpath(self._file.parent / Path(p).expanduser()))

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
        return libraries.build(kind, section, name, self._file, ours, fixed)

    def to_yaml(self) -> str:
        """Returns the recipe as YAML that `load` reads from any folder: its paths are absolute, defaults left out,
        files of scorers pinned by their digests (`recipe_own`)."""
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
        own_scorers.pinned(values, self.path)
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def read(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe, with all that can be checked without the libraries whose settings it holds; `load` does both."""
    file = Path(os.path.abspath(Path(path)))
    values = read_mapping(file)
    apply_overrides(values, overrides)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError(one_line(f"{file}: {_explain(error)}")) from None
    recipe._file = file
    for kind, model in (("judge", recipe.judge), ("teacher", recipe.coldstart.teacher)):
        if model and model.prompt:
            instructions.read(kind, recipe.path(model.prompt))
    return recipe


def _explain(error: ValidationError) -> str:
    """Returns the first mistake as one line: the dotted key, what is wrong, and the nearest right name."""
    found = error.errors(include_url=False, include_input=False)
    # a misspelt key is also a missing one; the misspelling is what to name
    first = min(found, key=lambda one: one["type"] != "extra_forbidden")
    parts = [str(part) for part in first["loc"]]
    if parts and parts[-1] == "[key]":
        parts.pop()
    key = ".".join(parts)
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'{nearest(parts[-1], _known(parts[:-1]))}"
    if first["type"] == "missing":
        return f"key '{key}' is missing; add it"
    if first["type"] in ("model_type", "dict_type"):
        message = "should be a section with keys of its own"
    if parts[:-1] == ["rewards"] and first["type"] == "literal_error":
        message += nearest(parts[-1], get_args(Task))
    return f"key '{key}': {message}"


def _known(parts: Sequence[str]) -> list[str]:
    """Returns the keys allowed in the section that the dotted key's parts lead to."""
    model: type[BaseModel] = Recipe
    for part in parts:
        if part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _model_in(hint: Any) -> type[BaseModel] | None:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint
    return next((found for arg in get_args(hint) if (found := _model_in(arg))), None)
