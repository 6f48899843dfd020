"""Loading and saving image-text models: a hub id, a local folder, or the tiny default made by tiny.py."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MethodType
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    PreTrainedModel,
    ProcessorMixin,
)

from radrl.errors import UserError, one_line
from radrl.models import adapters
from radrl.models.allocator import keep_freed_memory
from radrl.models.cannot_load import cannot_load, lfs_pointer
from radrl.models.library_internals import set_source
from radrl.models.processor import Qwen3VLProcessor
from radrl.support.vector_math import choose_kernels


def load(
    start: str,
    *,
    dtype: str = "float32",
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    revision: str | None = None,
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Loads a model and its processor, from a local folder or by hub id (which needs the network or a filled cache).

    ``min_pixels`` and ``max_pixels`` bound the area an image is resized to. Weights are read from safetensors only and
    no remote code runs.

    Raises:
        UserError: no such folder, no processor in it, the files cannot be read, weights are missing in them, or memory
            does not suffice for them.
    """
    processor = load_processor(start, min_pixels=min_pixels, max_pixels=max_pixels, revision=revision)
    return load_model(start, dtype=dtype, revision=revision), processor


def load_model(start: str, *, dtype: str = "float32", revision: str | None = None) -> PreTrainedModel:
    """Loads the model alone, as `load` does."""
    choose_kernels()
    _check(start)
    base = adapters.base_of(start)
    try:
        loaded = AutoModelForImageTextToText.from_pretrained(
            base or start,
            dtype=dtype,
            use_safetensors=True,
            revision=revision or "main",
            output_loading_info=True,
            trust_remote_code=False,  # without it transformers asks at the terminal, where somebody may say yes
        )
    except Exception as error:  # transformers, huggingface_hub and safetensors each raise errors of their own
        raise cannot_load(start, error) from None
    model, report = cast(tuple[PreTrainedModel, dict[str, Any]], loaded)
    if report["missing_keys"]:  # transformers would go on with random weights in their place
        missing = sorted(report["missing_keys"])
        raise UserError(f"{start}: {len(missing)} weights are missing, {missing[0]} first; copy the whole model folder")
    if base is not None:
        model = adapters.merge(model, start)
    suit_to_cpu(model)
    return model


def skeleton(start: str) -> PreTrainedModel:
    """Returns a model without its weights: its modules, their names and shapes, on torch's device ``meta``.

    Raises:
        UserError: as `load`, but for the weights, of which only is seen that their files are there.
    """
    _check(start)
    base = adapters.base_of(start) or start
    try:
        config = AutoConfig.from_pretrained(base, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise cannot_load(base, error) from None
    if Path(base).is_dir():
        _check_weight_files(Path(base))
    set_source(model, base if base == start else "")  # as `load` leaves it
    model.generation_config = own_generation_config(start)
    return model


def _check_weight_files(folder: Path) -> None:
    """Refuses a folder without its weights' files, or with Git LFS pointers in their place."""
    index = folder / "model.safetensors.index.json"
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.is_file() else []
    except Exception as error:
        raise cannot_load(str(folder), error) from None
    for name in names or ["model.safetensors"]:
        if not (folder / name).is_file():
            raise cannot_load(str(folder), FileNotFoundError(f"no file named model.safetensors: {name} is not there"))
    if pointer := lfs_pointer(folder):
        raise cannot_load(str(folder), ValueError(f"{pointer} is a pointer"))


def load_processor(
    start: str, *, min_pixels: int | None = None, max_pixels: int | None = None, revision: str | None = None
) -> ProcessorMixin:
    """Loads the processor alone, as `load` does.

    Raises:
        UserError: no such folder, or no processor in it.
    """
    _check(start)
    base = adapters.base_of(start)
    try:
        processor = _load_processor(base or start, revision=revision or "main", trust_remote_code=False)
    except Exception as error:
        raise cannot_load(start, error) from None
    set_bounds(processor.image_processor, min_pixels=min_pixels, max_pixels=max_pixels)
    return processor


def set_bounds(image_processor: Any, *, min_pixels: int | None, max_pixels: int | None) -> None:
    """Sets the bounds of the area that a Qwen-VL image processor resizes images to; None leaves its own."""
    if min_pixels is not None:
        image_processor.size["shortest_edge"] = min_pixels
    if max_pixels is not None:
        image_processor.size["longest_edge"] = max_pixels


def _check(start: str) -> None:
    """Refuses a start that is neither a hub id nor a folder with a model, a processor and a vocabulary."""
    start = adapters.base_of(start) or start
    folder = Path(start)
    local = folder.is_dir()
    if not local and (start.startswith((".", "/", "~")) or start.count("/") != 1):
        raise UserError(
            f"{start}: no such model folder; give a folder, a hub id like Qwen/Qwen3-VL-8B-Instruct, or tiny"
        )
    if local:
        for name, what in (("config.json", "model"), ("tokenizer_config.json", "tokenizer")):
            if not (folder / name).is_file():
                raise UserError(f"{folder}: no {what} here ({name} is missing); save it with save_pretrained")
        if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
            raise UserError(
                f"{folder}: no processor here (preprocessor_config.json is missing); copy it from the base model"
            )
        if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "tokenizer.model")):
            # transformers would go on with an empty vocabulary
            raise UserError(f"{folder}: no vocabulary here (tokenizer.json is missing); copy it from the base model")


def suit_to_cpu(model: nn.Module) -> None:
    """Where there is no GPU, spares a model the two things that are slow on a CPU; results stay the same."""
    if not torch.cuda.is_available():
        keep_freed_memory()
        patch_embedding_as_matmul(model)


def _load_processor(start: str, **kwargs: Any) -> ProcessorMixin:
    # Ours wherever it fits, so that a run with torchvision and one without ask the same class; the image processor
    # behind it is the torchvision or the PIL one, and image_backend() tells which.
    if AutoConfig.from_pretrained(start, **kwargs).model_type.startswith("qwen3_vl"):
        return Qwen3VLProcessor.from_folder(start, **kwargs)
    processor = AutoProcessor.from_pretrained(start, padding_side="left", **kwargs)
    if not getattr(processor, "chat_template", None):
        processor.chat_template = getattr(getattr(processor, "tokenizer", None), "chat_template", None)
    return processor


def image_backend(processor: ProcessorMixin) -> str:
    """Returns the class that resizes images: it must be the same in training and evaluation."""
    return type(processor.image_processor).__name__


def own_generation_config(start: str) -> GenerationConfig:
    """Returns how a model's folder (or hub id) would have its completions decoded, as transformers reads it: its
    ``generation_config.json``, else what its ``config.json`` says.

    Raises:
        UserError: the folder or its files cannot be read.
    """
    _check(start)
    start = adapters.base_of(start) or start
    folder = Path(start)
    if not folder.is_dir() or (folder / "generation_config.json").is_file():
        try:
            return GenerationConfig.from_pretrained(start)
        except Exception as error:
            if folder.is_dir():  # else the hub has none
                line = f"{folder / 'generation_config.json'}: cannot be read ({str(error)[:300]}); fix it"
                raise UserError(one_line(line)) from None
    try:
        return GenerationConfig.from_model_config(AutoConfig.from_pretrained(start))
    except Exception as error:
        raise cannot_load(start, error) from None


@contextmanager
def own_settings_off(model: PreTrainedModel) -> Iterator[None]:
    """Meanwhile, a model has no generation settings of its own but the tokens that begin, end and pad a completion.

    transformers' ``generate`` fills in from them whatever a call leaves open, also where it is given a whole
    ``GenerationConfig``: the repetition penalty of a published folder would change every greedy answer in silence.
    """
    settings = cast(Any, model)  # transformers' class for models that write is a mixin
    own = settings.generation_config
    kept = ("bos_token_id", "eos_token_id", "pad_token_id")
    settings.generation_config = GenerationConfig(**{name: getattr(own, name) for name in kept})
    try:
        yield
    finally:
        settings.generation_config = own


def end_tokens(config: GenerationConfig, tokenizer: Any) -> list[int]:
    """Returns the tokens that end a model's completions: those its generation settings name, and its tokenizer's end
    token, as vLLM and TRL do. What ends a completion is the model's, whoever decodes it."""
    named = config.eos_token_id
    named = [] if named is None else [named] if isinstance(named, int) else list(named)
    own = tokenizer.eos_token_id
    return sorted({*named, *([] if own is None else [own])})


def patch_embedding_as_matmul(model: nn.Module) -> None:
    """Computes Qwen-VL's patch embedding as the matrix product it is.

    Its convolution has a kernel as large as its input, which torch's CPU convolution does many times slower (a quarter
    of a tiny model's step). Same weights, same result up to rounding.
    """
    embed: Any = getattr(getattr(getattr(model, "model", None), "visual", None), "patch_embed", None)
    if not isinstance(getattr(embed, "proj", None), nn.Conv3d):
        return

    embed.forward = MethodType(_embed, embed)  # a method, so that a deep copy of the model gets its own


def _embed(self: nn.Module, pixels: torch.Tensor) -> torch.Tensor:  # (patches, channels * time * height * width)
    if not isinstance(self.proj, nn.Conv3d):  # an adapter has been put on it since
        return type(self).forward(self, pixels)
    weight = self.proj.weight.flatten(1)  # (hidden, channels * time * height * width)
    return nn.functional.linear(pixels.to(weight.dtype), weight, self.proj.bias)


def save(model: PreTrainedModel, processor: ProcessorMixin, folder: str | os.PathLike[str]) -> None:
    """Saves model and processor as one folder; a folder that exists is replaced only when the new one is whole."""
    folder = Path(folder)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        model.save_pretrained(temporary)
        processor.save_pretrained(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    except (OSError, SafetensorError) as error:  # on a full disk safetensors raises its own
        raise UserError(
            one_line(f"{folder}: cannot be saved ({error}); free some space, run again with --resume")
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
