"""Why a model cannot be loaded, in one line and what to do: transformers, huggingface_hub, safetensors and torch each
raise errors of their own, and say little of what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import transformers
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors import SafetensorError

from radrl.errors import UserError, in_words, one_line, out_of_memory
from radrl.support.files import no_space

POINTER = b"version https://git-lfs"  # beginning of what stands for a file that was not fetched


def cannot_load(start: str, error: BaseException) -> UserError:
    """Returns the line for an error that came of loading the folder or hub id ``start``."""
    why, fix = _reason(start, list(_chain(error)))
    said = in_words(error)[:200]
    return UserError(one_line(f"{start}: cannot be loaded, {why} ({said}); {fix}"))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error and those it was raised from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _reason(start: str, errors: list[BaseException]) -> tuple[str, str]:
    """Returns why it cannot be loaded, and what to do."""
    text = " ".join(map(str, errors)).lower()

    def is_a(*kinds: type[BaseException]) -> bool:
        return any(isinstance(one, kinds) for one in errors)

    if any(map(out_of_memory, errors)):
        return "out of memory", "free some, take a smaller model, or 'model.dtype: bfloat16'"
    if any(map(no_space, errors)):
        return "the disk is full", "free some space, or let HF_HOME name a folder on another disk"
    if is_a(GatedRepoError) or "gated repo" in text:
        return "access is restricted", f"ask for it at https://huggingface.co/{start} and set HF_TOKEN"
    if is_a(RepositoryNotFoundError, RevisionNotFoundError) or "is not a valid model identifier" in text:
        return "the hub has no such model, or not for you", "check the id; a private model needs HF_TOKEN"
    if is_a(ConnectionError, TimeoutError, HfHubHTTPError) or "couldn't connect" in text or "offline mode" in text:
        return "it is not on this machine and the hub cannot be reached", "check the network, or give a folder"
    if pointer := lfs_pointer(Path(start)):
        return f"{pointer} is a Git LFS pointer and not the file", "fetch the files with 'git lfs pull'"
    if is_a(SafetensorError):
        return "its weights are no whole safetensors file", "copy them again"
    if "no file named model.safetensors" in text or "does not appear to have a file named" in text:
        return (
            "it has no model.safetensors",
            "copy the whole folder; weights in pickles (.bin) are never read: save them as safetensors first",
        )
    if is_a(FileNotFoundError):
        return "a file is missing", "copy the whole folder"
    if is_a(PermissionError):
        return "a file may not be read", "change its permissions"
    if "custom code" in text or "trust_remote_code" in text:
        return "it needs code of its own, which is never run", "take a model that transformers itself knows"
    if "does not recognize this architecture" in text:
        return f"transformers {transformers.__version__} does not know its model_type", "check config.json"
    if "unrecognized configuration class" in text:
        return "it is no model of images and text", "take one, such as Qwen3-VL"
    if "ignore_mismatched_sizes" in text or "size mismatch" in text:
        return "its weights and its config.json are of different sizes", "copy both from one model"
    if is_a(ImportError):
        return "a package is missing", "install it"
    if is_a(json.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) or "valid json" in text:
        return "a .json file of it is broken or not what it should be", "copy config.json and the tokenizer's again"
    return "for a reason of its own", "check the folder or the hub id"


def lfs_pointer(folder: Path) -> str | None:
    """Returns the first file of a folder that is a Git LFS pointer."""
    if not folder.is_dir():
        return None
    for file in sorted(folder.iterdir()):
        if file.suffix in (".safetensors", ".json", ".txt", ".model") and file.is_file() and file.stat().st_size < 1024:
            try:
                if file.read_bytes().startswith(POINTER):
                    return file.name
            except OSError:
                continue
    return None
