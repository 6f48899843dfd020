"""Which of several training processes this one is, as torchrun and ``accelerate launch`` say in the environment."""

from __future__ import annotations

import atexit
import os
import time

from radrl.errors import UserError

ALONE = (
    "accelerate launch was asked for several processes and has started one, as it does on a CPU or with one GPU; "
    "start them with 'torchrun --nproc_per_node N -m radrl ...', or ask for --num_processes 1"
)

PATIENCE = 10.0  # seconds that a process is given to say its error and to end


def rank() -> int:
    """Returns this process's number; 0 is the first, which looks after files and says what there is to say."""
    return int(os.environ.get("RANK", "0"))


def check_launch() -> None:
    """Refuses to train alone where several processes were asked for.

    Raises:
        UserError: ``accelerate launch --num_processes 2`` has started one process. Nothing tells it so but the address
            to meet at, which accelerate sets for several only.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ
    # torchrun and accelerate's own launchers of several set the first, the MPI launchers one of the others
    sizes = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
    if launched and not any(size in os.environ for size in sizes):
        raise UserError(ALONE)


def let_the_first_speak() -> None:
    """Waits, on all processes but the first, before an error is printed. Most errors come to all of them: when the
    first one has printed it and ends, torchrun ends those that wait. Another process's own error is printed after it.
    """
    if rank() > 0:
        time.sleep(PATIENCE)


def let_the_cause_speak() -> None:
    """Waits, on each of several processes, before an error is printed that may be no more than a lost connection to one
    that has failed: torchrun ends those that wait."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        time.sleep(PATIENCE)


def end_together() -> None:
    """Waits, at the end of a command, until all processes are there, and has their connection closed when Python ends.
    One that goes with it open can be aborted on its way out, and the launcher then ends the first one while it saves
    the model."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        atexit.unregister(_leave)
        atexit.register(_leave)


def _leave() -> None:
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()
