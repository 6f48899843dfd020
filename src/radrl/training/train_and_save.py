"""What every stage does once its trainer is built: it trains, saves the model and notes what it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import ProcessorMixin, Trainer

from radrl.errors import UserError
from radrl.models import loading
from radrl.support.files import no_space
from radrl.training import sharding
from radrl.training.held_out.best_model import best_step_notes
from radrl.training.run_folder.live_log import LiveLog
from radrl.training.stage import Clock, Progress, Stage


def train_and_save(
    trainer: Trainer, processor: ProcessorMixin, stage: Stage, clock: Clock, checkpoint: Path | None
) -> dict[str, Any]:
    """Trains from ``checkpoint`` on where one is given, saves the model (adapters merged) and returns the notes of
    done.json: steps, seconds, how images are resized. Raises UserError on a full disk."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    sharding.prepare(trainer)
    for callback in stage.callbacks:
        trainer.add_callback(callback)
    for bar in [one for one in trainer.callback_handler.callbacks if isinstance(one, Progress)]:
        trainer.add_callback(LiveLog(stage.folder, bar.place, clock.before, checkpoint))
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (OSError, SafetensorError, RuntimeError) as error:  # of a checkpoint; each library raises its own
        if not no_space(error):
            raise
        raise UserError(f"{stage.folder}: no space left; free some and run again with --resume") from None
    finally:  # a bar that is left running hides the terminal's cursor
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, Progress):
                callback.bar.stop()
    seconds = clock.seconds
    model = sharding.whole_model(trainer)
    notes = {
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
        "image_backend": loading.image_backend(processor),
        **best_step_notes(trainer),
    }
    if model is not None:
        loading.save(model, processor, stage.model)
        stage.end(trainer.state.log_history, **notes)
    return notes
