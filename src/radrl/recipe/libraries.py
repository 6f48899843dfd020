"""The sections of a recipe that are TRL's or PEFT's own configs: check every key and type; build TRL's.

Both are imported only when such a section is not empty, or its config is asked for: it takes seconds.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import reprlib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from radrl.errors import UserError, nearest, one_line
from radrl.recipe import unused
from radrl.recipe.ranges import out_of_range
from radrl.recipe.yaml_file import as_number

Kind = Literal["trl.SFTConfig", "trl.GRPOConfig", "peft.LoraConfig"]

# What a section may not set, because the recipe says it elsewhere.
NOT_HERE = {
    "output_dir": "set the run folder with the recipe's 'out'",
    "seed": "set the recipe's 'seed', one for the whole run",
    "reward_weights": "set each scorer's 'weight' under 'rewards'",
    "hub_token": "set HF_TOKEN in the environment; a recipe is stored in the run folder",
}
EVALUATED = 20  # steps of GRPO between two evaluations; it is watched closely (training/audit.py)
SAVED = 50  # steps between two checkpoints
ALSO_BOOL = {"scale_rewards", "fsdp"}  # annotated str, but documented and mapped as true and false too


def _class(kind: Kind) -> type:
    module, name = kind.split(".")
    return getattr(importlib.import_module(module), name)


def _fit(value: Any, hint: Any) -> Any:
    """Returns the value as the annotation wants it, or raises TypeError with what was wanted."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if _options(hint):  # transformers writes 'SchedulerType | str' and means the names of SchedulerType
            args = tuple(option for option in args if option is not str)
        exact = [h for h in args if type(value) is h or (value is None and h is type(None))]
        for option in [*exact, *args]:
            try:
                return _fit(value, option)
            except TypeError:
                continue
    elif hint is Any:
        return value
    elif origin is Literal:
        if any(value == option and type(value) is type(option) for option in args):
            return value
    elif hint is float or hint is int:
        number = as_number(value)
        if hint is int and isinstance(number, float) and number.is_integer():
            return int(number)
        if isinstance(number, int if hint is int else (int, float)) and not isinstance(number, bool):
            return number
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value is False and "no" in _options(hint):
            return "no"  # YAML reads a bare no as false
        if isinstance(value, str) and value in _options(hint):
            return value
    elif origin in (list, tuple) and isinstance(value, list):
        return [_fit(item, args[0]) for item in value] if args else value
    elif (origin or hint) is dict:
        if isinstance(value, dict):
            return value
    elif hint in (bool, str, types.NoneType) and isinstance(value, hint):
        return value
    raise TypeError(_in_words(hint))


def _options(hint: Any) -> list[str]:
    """Returns the names an annotation's enum allows; none where it has no enum."""
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return [str(member.value) for member in hint]
    if get_origin(hint) in (Union, types.UnionType):
        return [name for option in get_args(hint) for name in _options(option)]
    return []


def _in_words(hint: Any) -> str:
    args = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        named = bool(_options(hint))
        return " or ".join(dict.fromkeys(_in_words(o) for o in args if not (named and o is str)))
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(option) for option in args)
    if _options(hint):
        return "one of " + ", ".join(_options(hint))
    plain = {bool: "true or false", int: "a whole number", float: "a number", str: "text", types.NoneType: "null"}
    words = {dict: "a mapping", list: "a list", **plain}
    return words.get(get_origin(hint) or hint, "something YAML cannot hold")


def typed_settings(kind: Kind, section: Mapping[str, Any], name: str, file: Path) -> dict[str, Any]:
    """Returns the section with each value in the type the config wants.

    Raises:
        UserError: an unknown key (the nearest field is named), a wrong type, or a key the recipe sets elsewhere.
    """
    if not section:
        return {}
    config = _class(kind)
    fields = [field.name for field in dataclasses.fields(config) if field.init]
    hints = typing.get_type_hints(config)
    values = {}
    for key, value in section.items():
        at = f"{file}: key '{name}.{key}'"
        if key in NOT_HERE:
            raise UserError(one_line(f"{at} does not belong here; {NOT_HERE[key]}"))
        if key not in fields:
            hint = nearest(key, [field for field in fields if field not in NOT_HERE])
            raise UserError(one_line(f"{at} is no field of {kind}{hint}"))
        if key in ALSO_BOOL and isinstance(value, bool):
            values[key] = value
            continue
        try:
            values[key] = _fit(value, hints[key])
        except TypeError as error:
            hint = nearest(value, _options(hints[key])) if isinstance(value, str) else ""
            raise UserError(one_line(f"{at} cannot be {reprlib.repr(value)}{hint}; it must be {error}")) from None
        if kind != "peft.LoraConfig" and (wanted := out_of_range(key, values[key])):
            raise UserError(one_line(f"{at} cannot be {values[key]:g}; it must be {wanted}"))
    unused.check_applied(kind, config, values, name, file)
    return values


def evaluation_defaults(section: Mapping[str, Any], name: str, dev: bool) -> dict[str, Any]:
    """Returns what section ``name`` has of evaluation where it does not say so itself. ``dev``: the recipe names
    held-out Examples, which GRPO is watched with unless ``eval_strategy`` is no.

    transformers would evaluate as often as it logs, and refuses to save less evenly than it evaluates where the best
    checkpoint is kept.
    """
    ours: dict[str, Any] = {}
    if name == "grpo" and dev and "eval_strategy" not in section:
        ours = {"eval_strategy": "steps"}
    strategy = section.get("eval_strategy", ours.get("eval_strategy"))
    if strategy in (None, False, "no"):
        return {}
    if name == "grpo":
        ours["num_generations_eval"] = 1
    evaluated, saved = (as_number(section.get(key, SAVED)) for key in ("eval_steps", "save_steps"))
    ours["eval_steps"] = EVALUATED if name == "grpo" else saved
    if section.get("load_best_model_at_end"):
        ours["save_strategy"] = strategy
        if section.get("save_strategy", strategy) != "best":
            ours |= {"eval_steps": saved, "save_steps": evaluated}
    return ours


def build_config(
    kind: Kind, section: Mapping[str, Any], name: str, file: Path, ours: Mapping[str, Any], fixed: Mapping[str, Any]
) -> Any:
    """Returns TRL's config: ``ours`` under the section's keys under ``fixed``.

    Raises:
        UserError: as `typed_settings`, only one checkpoint is to be kept, or TRL itself refuses the values.
    """
    import torch

    values: dict[str, Any] = {
        "logging_steps": 1,
        "report_to": "none",
        "remove_unused_columns": False,  # the trainers' columns are our Examples, which the Trainer does not know
        "save_strategy": "steps",
        "save_steps": SAVED,
        "save_total_limit": 2,
        **ours,
        **typed_settings(kind, section, name, file),
        **fixed,
    }
    values.setdefault("use_cpu", not torch.cuda.is_available())
    if values["use_cpu"] and not values.get("fp16"):
        values.setdefault("bf16", False)  # TRL's default is bf16, which on a CPU is slow and coarse
    if values["save_total_limit"] == 1:
        at = f"{file}: key '{name}.save_total_limit'"
        raise UserError(one_line(f"{at} should be 2 or more: a checkpoint is needed until the next one is whole"))
    try:
        return _class(kind)(**values)
    except Exception as error:  # TRL and transformers check in __post_init__ with errors of many types
        raise UserError(one_line(f"{file}: section '{name}': {kind} refuses it: {error}")) from error
