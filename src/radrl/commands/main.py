"""The commands. Each is thin: read the recipe, call the room that does the work, print where the result is."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radrl import __version__
from radrl.commands.data import data_app
from radrl.errors import UserError, out_of_memory
from radrl.support import processes

if TYPE_CHECKING:
    from radrl.training.stage import Stage

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, help=__doc__
)
app.add_typer(data_app, name="data")
doctor_app = typer.Typer(no_args_is_help=True, help="Checks of what is installed here.")
app.add_typer(doctor_app, name="doctor")

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="the recipe, a YAML file")]
Overrides = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="change a key of the recipe")]
Resume = Annotated[bool, typer.Option("--resume", help="go on from the last checkpoint of this run")]
Restart = Annotated[bool, typer.Option("--restart", help="throw this run's checkpoints and model away and begin anew")]
Start = Annotated[str | None, typer.Option(help="the model to start from, instead of the recipe's model.start")]


class Stages(StrEnum):
    """What a recipe can be checked for."""

    sft = "sft"
    coldstart = "coldstart"
    grpo = "grpo"
    evaluate = "evaluate"


Against = Annotated[str | None, typer.Option(metavar="NAME", help="a second model that all are compared with")]


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="print the version", callback=_print_version, is_eager=True)]


@app.callback()
def _common(version: Version = False) -> None:
    pass


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="the run folder")] = Path("runs/demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="a two-minute look at every stage; the figures mean little")
    ] = False,
    long: Annotated[
        bool, typer.Option("--long", help="SFT until it learns little more, and four times the GRPO; most of an hour")
    ] = False,
    resume: Resume = False,
) -> None:
    """The whole chain on drawn X-rays: SFT, cold start, GRPO, evaluation, and a page to read."""
    from radrl.commands.demo import run_demo

    _no_foreign_bars()
    if quick and long:
        raise UserError("--quick and --long: choose one")
    page = run_demo(out, "quick" if quick else "long" if long else "demo", resume=resume)
    print(f"Page: {page}")


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="the folder to write")],
    train: Annotated[int, typer.Option(help="films to train on")] = 1000,
    test: Annotated[int, typer.Option(help="films to hold out")] = 200,
    size: Annotated[int, typer.Option(help="side in pixels")] = 192,
    seed: int = 0,
) -> None:
    """Draw chest X-rays with reports and questions, as manifests."""
    from radrl.data import phantom as drawing

    counts = drawing.write(out, {"train": train, "test": test}, seed=seed, size=size)
    for split, count in counts.items():
        print(f"{out / split}.jsonl: {count} Examples")


@app.command()
def sft(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006  typer wants the default so
    start: Start = None,
    name: Annotated[str, typer.Option(help="the stage's folder below the recipe's out")] = "sft",
    as_long_as: Annotated[
        Path | None, typer.Option(help="train as long as the stage in this folder did: a control of equal time")
    ] = None,
    resume: Resume = False,
    restart: Restart = False,
) -> None:
    """Supervised fine-tuning on the reference answers."""
    loaded = _recipe(recipe, overrides, start, training=True)
    from radrl.commands.train import run_sft

    _say_where(run_sft(loaded, name, resume=resume, restart=restart, as_long_as=as_long_as))


@app.command()
def coldstart(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    start: Start = None,
    name: Annotated[str, typer.Option(help="the stage's folder below the recipe's out")] = "coldstart",
    resume: Resume = False,
    restart: Restart = False,
) -> None:
    """SFT on thinking traces, mixed with direct answers."""
    loaded = _recipe(recipe, overrides, start, training=True)
    from radrl.commands.train import run_coldstart

    _say_where(run_coldstart(loaded, name, resume=resume, restart=restart))


@app.command()
def grpo(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    start: Start = None,
    name: Annotated[str, typer.Option(help="the stage's folder below the recipe's out")] = "grpo",
    reward_workers: Annotated[
        str | None, typer.Option(metavar="N|ray", help="score in N processes or on Ray (scoring.workers)")
    ] = None,
    resume: Resume = False,
    restart: Restart = False,
) -> None:
    """GRPO with the recipe's rewards."""
    if reward_workers is not None:
        overrides = [*overrides, f"scoring.workers={reward_workers}"]
    loaded = _recipe(recipe, overrides, start, training=True)
    from radrl.commands.train import run_grpo

    _say_where(run_grpo(loaded, name, resume=resume, restart=restart))


@app.command("check-run")
def check_run(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    stage: Annotated[
        Stages | None, typer.Option(help="the stage to check; without it, those that the recipe has a section of")
    ] = None,
    start: Start = None,
    name: Annotated[str | None, typer.Option(help="the stage's folder below the recipe's out")] = None,
    processes: Annotated[int, typer.Option(help="how many GPUs it will run on", min=1)] = 1,
) -> None:
    """Look for mistakes before a run, without a GPU and without weights: the checks that training begins with."""
    loaded = _recipe(recipe, overrides, start, training=stage is not Stages.evaluate)
    from radrl.commands.check_run import run

    run(loaded, stage and stage.value, name, processes)


@app.command()
def evaluate(
    recipe: RecipeFile,
    model: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PLACE",
            help="a model to judge: a folder, a hub id, endpoint:NAME or a file of predictions; "
            "NAME=PLACE/think asks it to think",
        ),
    ],
    out: Annotated[Path, typer.Option(help="the folder for table, page and predictions; a stopped run goes on there")],
    overrides: Overrides = [],  # noqa: B006
    samples: Annotated[int | None, typer.Option(help="completions of each Example (evaluation.samples)")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy (evaluation.temperature)")] = None,
    against: Against = None,
    shard: Annotated[str | None, typer.Option(metavar="K/N", help="only collect this part of the predictions")] = None,
    bias: Annotated[bool, typer.Option("--bias", help="look for shortcuts too: bias.md")] = False,
) -> None:
    """Judge models on the recipe's test data; differences are to the first one, and to --against."""
    from radrl.commands.evaluate import run_evaluation
    from radrl.evaluation.answers.ask_models import Shard

    models = {}
    for item in model:
        label, equals, place = item.partition("=")
        if not equals or not label or not place:
            raise UserError(f"--model {item}: write NAME=FOLDER, such as sft=runs/lungs/sft/model")
        if label in models:
            raise UserError(f"--model {item}: there is a model '{label}' already; choose another name")
        models[label] = (place.removesuffix("/think"), place.endswith("/think"))
    given = {"samples": samples, "temperature": temperature}
    overrides = [*overrides, *(f"evaluation.{key}={value}" for key, value in given.items() if value is not None)]
    part = Shard.read(shard) if shard is not None else None
    loaded = _recipe(recipe, overrides)
    page = run_evaluation(loaded, models, out, second_base=against, shard=part, look_for_bias=bias)
    print(f"Predictions: {page}" if part else f"Page: {page}")


@app.command()
def compare(
    out: Annotated[Path, typer.Option(help="the folder for table and page")],
    folders: Annotated[list[Path] | None, typer.Argument(metavar="FOLDER", help="finished evaluations")] = None,
    model: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PLACE,…", help="an evaluation folder or a file of predictions; several are training seeds"
        ),
    ] = [],  # noqa: B006
    recipe: Annotated[
        Path | None, typer.Option(help="names the data; without it the recipe of the first evaluation")
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    against: Against = None,
) -> None:
    """Compare finished evaluations over the same test data; differences are to the first model, and to --against."""
    from radrl.commands.evaluate import run_comparison
    from radrl.evaluation.answers.finished_runs import find, recipe_of

    files = find(folders or [], model)
    known = recipe_of(folders or [], files) if recipe is None else recipe
    print(f"Page: {run_comparison(files, out, _recipe(known, overrides), second_base=against)}")


@app.command()
def label(
    reports: Annotated[Path, typer.Argument(metavar="REPORTS.jsonl", help='one {"id": ..., "text": ...} a line')],
    out: Annotated[Path | None, typer.Option(help="the CSV to write")] = None,
    schema: Annotated[str, typer.Option(help="the columns: nih14, chexpert14, openi14 or all")] = "chexpert14",
    compare: Annotated[
        Path | None, typer.Option(help="another's labels (CheXpert's labeler, CheXbert, a person): print the agreement")
    ] = None,
    diff: Annotated[Path | None, typer.Option(help="our CSV of an earlier version: print what has changed")] = None,
    page: Annotated[Path | None, typer.Option(help="with --compare or --diff: write the reports that differ")] = None,
    only_english: Annotated[
        bool, typer.Option("--only-english", help="leave out reports in another language, which the rules cannot read")
    ] = False,
) -> None:
    """Label reports by rules: 1 present, 0 absent, -1 uncertain, blank not mentioned."""
    from radrl.clinical import agreement
    from radrl.clinical.label import read_english, write_labels

    if (other := compare or diff) is None and out is None:
        raise UserError("name what to write or compare with: --out labels.csv, --compare OTHER.csv or --diff OLD.csv")
    if compare and diff:
        raise UserError("--compare and --diff: choose one")
    if page and other is None:
        raise UserError("--page needs --compare or --diff")
    english, foreign = read_english(reports, only_english=only_english)
    if foreign:
        print(f"left out: {len(foreign)} reports that are not in English, {foreign[0]!r} first")
    if out is not None:
        print(f"{out}: {write_labels(reports, schema, out, only_english=only_english)} reports")
    if other is not None:
        found, differing = agreement.compare_labels(english, schema, other)
        print(agreement.changes_text(found) if diff else agreement.table_text(found))
        print(f"{len(differing)} reports differ")
        if page:
            from radrl.output.page import agreement as agreement_page

            title = "What has changed in the labels" if diff else "Agreement of two labelers"
            agreement_page.write(page, title, other.name, schema, found, differing)
            print(f"Page: {page}")


@app.command()
def score(
    predictions: Annotated[
        Path | None, typer.Argument(help='JSONL of {"id", "text"}; with --gallery, the page to write')
    ] = None,
    references: Annotated[Path | None, typer.Argument(help="JSONL of the same ids, or a manifest")] = None,
    scorers: Annotated[
        str | None, typer.Option(help="names with commas between, also bleu_4(words=split); without it the usual ones")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="whose 'judge' and 'scoring' (weights, device) the scorers named use")
    ] = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="write values and cases here")] = None,
    gallery: Annotated[
        bool, typer.Option("--gallery", help="write a page of the order in which scorers put mistakes")
    ] = False,
) -> None:
    """Score texts against references, or show what the scorers reward."""
    from radrl.commands.score import score_files, split_names
    from radrl.recipe.schema import read
    from radrl.support.files import write_json

    _no_foreign_bars()
    if gallery:
        from radrl.output.page.gallery import write
        from radrl.scoring.gallery import run

        page = predictions or Path("gallery.html")
        write(page, run())
        print(f"Page: {page}")
        return
    if predictions is None or references is None:
        raise UserError("name two files: radrl score PRED.jsonl REF.jsonl --scorers bleu_4,rouge_l_stem")
    names = None if scorers is None else split_names(scorers)
    found = score_files(predictions, references, names, read(recipe) if recipe else None)
    if as_json:
        write_json(as_json, found)
    for name, value in found.items():
        if name != "cases":
            print(f"{name:<23} {'n/a' if value is None else f'{value:.6f}'}")


@doctor_app.command("radgraph")
def doctor_radgraph(
    weights: Annotated[Path, typer.Option(help="the unpacked archive")],
    reports: Annotated[Path | None, typer.Option(help='JSONL of {"id", "text"}; without it, 200 of our own')] = None,
    python: Annotated[str, typer.Option(help="an interpreter with radgraph and transformers<5")] = sys.executable,
    device: Annotated[str, typer.Option(help="where ours runs: auto, cpu, cuda:1")] = "auto",
) -> None:
    """Compare our RadGraph with the package radgraph on your weights: identical, or where not."""
    from radrl.manifest.texts import read_texts
    from radrl.scoring.gallery import cases
    from radrl.scoring.neural.doctor import run

    texts = [text for case in cases().values() for text in case.values()]
    own = [*texts, *(" ".join(texts[k : k + 5]) for k in range(len(texts)))][:200]  # longer ones too
    print(run(weights, list(read_texts(reports).values()) if reports else own, python, device))


def _recipe(file: Path, overrides: list[str], start: str | None = None, *, training: bool = False):
    from radrl.commands.load_recipe import check
    from radrl.manifest.from_recipe import begin_reading
    from radrl.recipe.schema import read

    if start is not None:
        folder = Path(start).expanduser()
        overrides = [*overrides, f"model.start={_quoted(str(folder.resolve()) if folder.is_dir() else start)}"]
        if (folder.is_dir() or start != "tiny") and read(file, overrides[:-1]).model.image_size is not None:
            overrides.append("model.image_size=null")
    recipe = read(file, overrides)
    if training:
        processes.check_launch()
        begin_reading(recipe)  # a large manifest is read while the libraries are imported
    _no_foreign_bars()
    check(recipe)
    return recipe


def _say_where(stage: Stage) -> None:
    processes.end_together()
    if processes.rank() > 0:
        return
    if stage.done() is None:
        raise UserError(f"{stage.folder}: the stage has ended without a model; run the same command with --resume")
    print(f"Model: {stage.model}")


def _no_foreign_bars() -> None:
    """Switches transformers' bars for loading and saving off; they would break ours."""
    import transformers

    transformers.utils.logging.disable_progress_bar()


def _quoted(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)


def main() -> None:
    """Runs a command; a user's mistake is one line on standard error and exit code 2."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # its warnings are about what we do on purpose
    try:
        app()
    except UserError as error:
        processes.let_the_first_speak()
        from radrl.errors import one_line  # a file's name may hold a line break

        print(one_line(f"radrl: {error}"), file=sys.stderr)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            processes.let_the_cause_speak()
            raise
        processes.let_the_first_speak()
        said = " ".join(str(error).split())[:200] or "no more is said"
        print(
            f"radrl: out of memory ({said}); take a smaller batch (per_device_train_batch_size, "
            "evaluation.batch_size), smaller images (model.max_pixels) or model.dtype bfloat16",
            file=sys.stderr,
        )
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as ended:
        # typer turns Ctrl-C into exit code 130 and says nothing
        if isinstance(ended, SystemExit) and ended.code != 130:
            raise
        how = "" if "evaluate" in sys.argv[1:2] else " with --resume"  # an evaluation always goes on where it was
        if processes.rank() == 0:  # Ctrl-C comes to all
            print(f"radrl: stopped; run the same command{how} to go on", file=sys.stderr)
        sys.exit(130)
    finally:
        if index := sys.modules.get("radrl.manifest.index"):
            index.abandon()  # the run ended before it asked for its data
