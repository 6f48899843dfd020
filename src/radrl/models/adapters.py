"""An adapter's folder as a start: PEFT's ``adapter_config.json`` and weights, without the model they belong to.

The base that the adapter names is loaded, and the adapter merged into it. What comes of it is a whole model as any
other: trained further with all its weights or with an adapter of its own, or judged.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

from radrl.errors import UserError, in_words, one_line
from radrl.models.library_internals import set_source

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def base_of(start: str) -> str | None:
    """Returns the folder or hub id of the model that an adapter's folder names; None where ``start`` is no such folder.

    Raises:
        UserError: the folder names no base, or one that is not there, or the weights are missing or a pickle.
    """
    folder = Path(start)
    file = folder / CONFIG
    if not file.is_file() or (folder / "config.json").is_file():
        return None
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        named, kind = settings.get("base_model_name_or_path"), settings.get("peft_type")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(one_line(f"{file}: cannot be read ({in_words(error)}); copy it again")) from None
    if not (folder / WEIGHTS).is_file():
        raise UserError(one_line(f"{folder}: no {WEIGHTS} here; weights in pickles (.bin) are never read"))
    if kind != "LORA":
        raise UserError(one_line(f"{file}: adapters of kind {kind!r} are not merged; only LORA is"))
    if not isinstance(named, str) or not named:
        raise UserError(
            one_line(f"{file}: key 'base_model_name_or_path' names no model; write the base's folder there")
        )
    for place in (folder / named, Path(named)):  # a path of another machine is often relative to where it was trained
        if (place / "config.json").is_file():
            return str(place.resolve())
    if named.startswith((".", "/", "~")) or named.count("/") != 1:
        raise UserError(
            one_line(f"{file}: no such folder: {named}; write where its base is as 'base_model_name_or_path'")
        )
    return named


def merge(model: PreTrainedModel, start: str) -> PreTrainedModel:
    """Returns the base ``model`` with the adapter of the folder ``start`` merged into its weights.

    It no longer says which folder it is of: whoever reads that again, as TRL does for KL's reference, would get the
    base.

    Raises:
        UserError: the adapter does not fit the base, or is not whole.
    """
    from peft import PeftConfig, get_peft_model

    try:
        wrapped = get_peft_model(model, PeftConfig.from_pretrained(start))
        missing = wrapped.load_adapter(start, "default", use_safetensors=True).missing_keys
        merged = cast("PreTrainedModel", wrapped.merge_and_unload())
    except Exception as error:  # peft and torch each raise errors of their own
        raise UserError(one_line(f"{start}: the adapter does not fit its base: {in_words(error)[:300]}")) from None
    if missing:  # peft would only warn, and the layer would stay the base's
        raise UserError(one_line(f"{start}: {len(missing)} weights of the adapter are missing, {missing[0]} first"))
    set_source(merged, "")
    return merged
