"""The command line: which commands there are, and what a mistake, an interrupt or too little memory looks like."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from radrl import __version__
from radrl.commands.cli import (
    ask,
    check_run,
    compare,
    demo,
    doctor,
    evaluate,
    label,
    phantom,
    score,
    scorers,
    train,
    watch,
)
from radrl.commands.cli.data import check, clean, export, prepare, show
from radrl.commands.cli.data import list as list_data
from radrl.errors import UserError, one_line, out_of_memory
from radrl.support import processes

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train and judge medical vision-language models with clinical rewards.",
)
data_app = typer.Typer(no_args_is_help=True, help="Published data sets to manifests, and manifests looked at.")
doctor_app = typer.Typer(no_args_is_help=True, help="Checks of what is installed here.")


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="print the version", callback=_print_version, is_eager=True)]


@app.callback()
def _common(version: Version = False) -> None:
    pass


for command in (
    demo.demo,
    phantom.phantom,
    train.sft,
    train.coldstart,
    train.grpo,
    watch.watch,
    check_run.check_run,
    evaluate.evaluate,
    compare.compare,
    ask.ask,
    label.label,
    score.score,
    scorers.scorers,
):
    app.command()(command)
app.add_typer(data_app, name="data")
for name, command in {
    "list": list_data.list_readers,
    "prepare": prepare.prepare,
    "check": check.check,
    "show": show.show,
    "clean": clean.clean,
    "export": export.export,
}.items():
    data_app.command(name)(command)
app.add_typer(doctor_app, name="doctor")
doctor_app.command()(doctor.radgraph)


def main() -> None:
    """Runs a command; a user's mistake is one line on standard error and exit code 2."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # its warnings are about what we do on purpose
    try:
        app()
    except UserError as error:
        processes.let_the_first_speak()
        print(one_line(f"radrl: {error}"), file=sys.stderr)  # a file's name may hold a line break
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
        how = "" if sys.argv[1:2] in (["evaluate"], ["ask"]) else " with --resume"  # these have no such option
        if processes.rank() == 0:  # Ctrl-C comes to all
            print(f"radrl: stopped; run the same command{how} to go on", file=sys.stderr)
        sys.exit(130)
    finally:
        if index := sys.modules.get("radrl.manifest.index"):
            index.stop_reading()  # the run ended before it asked for its data
