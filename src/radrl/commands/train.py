"""The training commands: a recipe in, a stage folder with a model out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, ProcessorMixin

from radrl.errors import UserError
from radrl.images.files import read_image
from radrl.images.sizes import box_size, image_resizing
from radrl.manifest.example_set import ExampleSet
from radrl.manifest.from_recipe import load_examples
from radrl.models import loading
from radrl.models.processor import Qwen3VLProcessor, resized
from radrl.models.tiny import tiny_model
from radrl.prompt.messages import TEMPLATE, earlier, question, target
from radrl.recipe.endpoints import Teacher
from radrl.recipe.schema import Recipe, StageKind
from radrl.support.files import write_text
from radrl.training import teacher
from radrl.training.checks import loggers, pixel_boxes, run_checks
from radrl.training.run_folder import stage_folder
from radrl.training.run_folder.record import Record, recorded
from radrl.training.sft import train_sft
from radrl.training.stage import Stage


def start_model(run: run_checks.Run) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Returns the model a run starts from, once all has been checked that can be without its weights; ``tiny`` is
    made, with a tokenizer learned from the training texts."""
    recipe = run.recipe
    processor = run_checks.before_loading(run).processor
    start = recipe.model_start()
    if start != "tiny":
        return loading.load_model(start, dtype=recipe.model.dtype), processor
    assert isinstance(processor, Qwen3VLProcessor)  # the tiny model is a Qwen3-VL
    model = tiny_model(processor, image_size=recipe.model.image_size or 192, seed=recipe.seed)
    loading.suit_to_cpu(model)
    return model, processor


def run_sft(
    recipe: Recipe, name: str = "sft", *, resume: bool = False, restart: bool = False, as_long_as: Path | None = None
) -> Stage:
    """Supervised fine-tuning. With ``as_long_as`` (another stage's folder) training takes the seconds that stage took,
    and not a number of steps; the learning rate goes its way in that time. The seconds it took are in done.json."""
    seconds = None if as_long_as is None else _seconds_of(as_long_as)

    def train(stage: Stage, checkpoint: Path | None, record: Record) -> None:
        examples = load_examples(recipe)
        record.note_data(examples)
        run = run_checks.Run(recipe, "sft", stage.folder, examples)
        train_sft(recipe, *start_model(run), examples, stage, checkpoint, seconds=seconds, dev=run.dev)

    title = "SFT" if as_long_as is None else "SFT continued"
    return _run(recipe, "sft", Stage(recipe.path(recipe.out) / name, title), train, resume, restart)


def run_coldstart(recipe: Recipe, name: str = "coldstart", *, resume: bool = False, restart: bool = False) -> Stage:
    """SFT on thinking traces mixed with direct answers. Examples without a trace get one from the recipe's teacher,
    when it names one; those that stay without are asked directly.

    Raises:
        UserError: no Example has a trace and there is no teacher, or nothing in the prompt asks for thinking.
    """

    def train(stage: Stage, checkpoint: Path | None, record: Record) -> None:
        examples = load_examples(recipe)
        record.note_data(examples)
        if (endpoint := recipe.coldstart.teacher) is not None:
            run_checks.before_loading(
                run_checks.Run(recipe, "coldstart", stage.folder, examples)
            )  # traces are paid for
            examples = _with_traces(recipe, endpoint, examples, stage.folder)
            if not examples.thinking.any():
                raise UserError(f"{recipe.file}: the teacher has given no trace; see given_up_traces.jsonl")
        run = run_checks.Run(recipe, "coldstart", stage.folder, examples)
        train_sft(
            recipe,
            *start_model(run),
            examples,
            stage,
            checkpoint,
            thinking_share=recipe.coldstart.thinking_share,
            config=recipe.coldstart_config(stage.folder),
            dev=run.dev,
        )

    return _run(recipe, "coldstart", Stage(recipe.path(recipe.out) / name, "Cold start"), train, resume, restart)


def run_grpo(recipe: Recipe, name: str = "grpo", *, resume: bool = False, restart: bool = False) -> Stage:
    """GRPO with the recipe's rewards, with thinking when the recipe's ``prompt.thinking`` is on."""
    from radrl.training.grpo import train_grpo  # late: it takes a second, and SFT needs none of it

    def train(stage: Stage, checkpoint: Path | None, record: Record) -> None:
        examples = load_examples(recipe)
        examples = examples.repeated(recipe.data.mix)
        if not len(examples):
            raise UserError(f"{recipe.file}: key 'data.mix' leaves no Example; give a task a number above 0")
        record.note_data(examples)
        run = run_checks.Run(recipe, "grpo", stage.folder, examples)
        train_grpo(recipe, *start_model(run), examples, stage, checkpoint, run.dev)

    title = "GRPO thinking" if recipe.prompt.thinking else "GRPO"
    return _run(recipe, "grpo", Stage(recipe.path(recipe.out) / name, title), train, resume, restart)


def _run(
    recipe: Recipe,
    kind: StageKind,
    stage: Stage,
    train: Callable[[Stage, Path | None, Record], None],
    resume: bool,
    restart: bool,
) -> Stage:
    """Calls ``train`` in a prepared folder, unless the stage has ended already, and keeps a record of it."""
    recipe.model_start()  # nothing is begun where there is none
    pixel_boxes.check_model(recipe)
    loggers.check(recipe, kind)
    with stage_folder.alone(stage.folder):
        checkpoint = stage.begin(recipe, kind, resume=resume, restart=restart)
        if restart or not stage.done():  # of several processes the first may not have removed yet what it restarts
            with recorded(stage.folder, recipe, kind, checkpoint) as record, loggers.kept_in(stage.folder):
                stage.callbacks.append(record)
                train(stage, checkpoint, record)
    return stage


def _seconds_of(stage: Path) -> float:
    file = stage / "done.json"
    if not file.is_file():
        raise UserError(f"{file}: missing; --as-long-as needs the folder of a stage that has ended")
    return max(0.1, json.loads(file.read_text())["seconds"])  # written to a tenth


def _with_traces(recipe: Recipe, endpoint: Teacher, examples: ExampleSet, folder: Path) -> ExampleSet:
    """Returns Examples with the traces that the teacher writes for those that have none; its traces and what it has
    given up are kept in ``folder``."""
    wanting = examples.take(np.flatnonzero(~examples.thinking))
    _, once = np.unique(wanting.rows, return_index=True)  # in a mix an Example may stand several times
    wanting = wanting.take(np.sort(once))
    file = folder / "traces.jsonl"
    given_up: dict[str, str] = {}
    # what the student is told about form would be told the teacher too: it has a prompt of its own
    style = replace(recipe.style(thinking=False), template=TEMPLATE, answer_format="plain")
    roots = wanting.roots
    show, sizes = (lambda picture: picture), {}
    if style.box_format == "pixel":  # the teacher sees the image that the student's boxes are of
        of_student = pixel_boxes.image_processor(recipe)
        show, images = partial(resized, of_student), image_resizing(of_student)
        sizes = {example.id: box_size(wanting, i, style, images) for i, example in enumerate(wanting)}
    for root in sorted(set(roots)):
        report = teacher.write_traces(
            [wanting[i] for i, r in enumerate(roots) if r == root],
            root,
            file,
            endpoint,
            reference=lambda example: target(example, style, sizes.get(example.id)),
            prompt=recipe.path(endpoint.prompt) if endpoint.prompt else None,
            question=lambda example: (
                earlier(example, style.box_format, sizes.get(example.id)) + question(example, style)
            ),
            open_image=lambda path: show(read_image(path.parent, path.name)),
        )
        given_up |= report.given_up
    if given_up:
        lines = [json.dumps({"id": name, "reason": why}) + "\n" for name, why in given_up.items()]
        write_text(folder / "given_up_traces.jsonl", "".join(lines))
    return examples.with_thinking(teacher.load_traces(file) if file.is_file() else {})
