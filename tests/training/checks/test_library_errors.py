"""Which errors become a line: what a library refuses; not what our own code is in."""

from __future__ import annotations

import pytest
from transformers import get_scheduler
from transformers.trainer_utils import SchedulerType

from radrl.training.checks.library_errors import one_line_refusals


def refused():
    get_scheduler(SchedulerType.COSINE_WITH_MIN_LR, None, num_warmup_steps=0, num_training_steps=1)


def test_a_refusal_names_section_key_and_library(make_recipe, refusal):
    recipe = make_recipe("sft={lr_scheduler_kwargs: {}, learning_rate: 1e-4}")

    def run():
        with one_line_refusals(recipe, "sft", " in step 3"):
            refused()

    line = refusal(run)
    assert line.startswith(f"{recipe.file}: key 'sft.lr_scheduler_kwargs': transformers refuses it in step 3: ")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory"), OSError(28, "No space left")])
def test_memory_disk_and_our_own_errors_pass(make_recipe, error):
    with pytest.raises(type(error)) as caught, one_line_refusals(make_recipe(), "sft"):
        raise error
    assert caught.value is error


def test_an_error_of_ours_called_by_a_library_passes(make_recipe):
    from torch.utils.data import DataLoader

    from radrl.training.sft_rows import SFTRows

    rows = object.__new__(SFTRows)  # it takes a mapping: a fault
    with pytest.raises(TypeError), one_line_refusals(make_recipe(), "sft", deliberate=True):
        next(iter(DataLoader([0], collate_fn=rows)))
