"""The sections of a recipe, a class each; a `radrl.recipe.schema.Recipe` holds one of each."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from radrl.example import Task
from radrl.prompt.messages import BoxFormat
from radrl.recipe.endpoints import JudgedEndpoint, Teacher
from radrl.recipe.prompt_section import AnswerFormatName, Prompt
from radrl.recipe.protocols import Column, ProtocolName
from radrl.recipe.yaml_file import Number

Share = Annotated[Number, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A part of a recipe: unknown keys and values of another type are refused, and nothing in it changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Model(Section):
    """The model to start from."""

    start: Name | None = None
    """``tiny`` (the embedded default, random weights), a folder, or a hub id; None: files of predictions are judged."""
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


class Source(Section):
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


class Data(Section):
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


class Reward(Section):
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


class Scoring(Section):
    """Where and with what the rewards are computed."""

    workers: Annotated[int, Field(ge=0, le=256)] | Literal["ray"] = 0
    """Processes of each training process that score; 0 scores in the training process; ``ray``: an actor a CPU."""
    device: Name = "auto"
    """Where neural scorers run: ``auto`` (a GPU where there is one), ``cpu``, ``cuda:1``."""
    weights: dict[str, Name] = {}
    """Folder of each neural scorer's weights, by the scorer's model name, relative to the recipe's folder."""


class Losses(Section):
    """Changes to the SFT loss."""

    coordinate_sigma: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Width of Gaussian soft labels on coordinate tokens, in units of the image's side; 0 is off."""


class Guards(Section):
    """What a training run is warned of. NaN and infinity end it in any case."""

    grad_norm: Annotated[Number, Field(ge=0)] = 10.0
    """Warn of a gradient norm of more than so many times its median over the steps before; 0 is off."""
    no_spread: int = Field(default=20, ge=0)
    """GRPO: warn when for so many steps in a row no group has two different rewards; 0 is off."""
    stop: bool = False
    """Whether such a warning, or that of weights that stand still, ends the run."""


class ColdStart(Section):
    """SFT that teaches thinking, mixed with direct answers so that these are not forgotten (arXiv 2512.10691)."""

    thinking_share: Share = 0.5
    """Share of the training Examples asked with thinking."""
    teacher: Teacher | None = None
    """Who writes traces for Examples that have none; None uses the traces in the manifests."""
    sft: dict[str, Any] = {}
    """Fields of ``trl.SFTConfig``."""


class JudgedModel(Section):
    """What is particular to one model of an evaluation; what is not given is the recipe's."""

    box_format: BoxFormat | None = None
    """Notation in which this model writes boxes."""
    answer: AnswerFormatName | None = None
    """How this model is asked to write its answer."""
    prompt: Prompt | None = None
    """A preset's name, or keys of the ``prompt`` section that replace the recipe's."""
    min_pixels: int | None = Field(default=None, ge=1)
    """Smallest area this model's images are resized to; None: ``model.min_pixels``, else its processor's own. Of a file
    of predictions: what they were resized to, by Qwen2.5-VL's rule, for its boxes in pixels; None: not resized."""
    max_pixels: int | None = Field(default=None, ge=1)
    """The same, largest area."""


class Evaluation(Section):
    """How completions are made for an evaluation: the same for every model."""

    protocol: ProtocolName | None = None
    """A publication whose prompts, decoding, text preparation and columns are taken (`radrl.recipe.protocols`), or a
    YAML file of one's own that says the same."""
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
