"""LoRA of a recipe (``model.lora``): peft's own config, and whether the model has what it names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from radrl.errors import UserError, nearest, one_line
from radrl.recipe import libraries
from radrl.recipe.schema import Recipe

if TYPE_CHECKING:
    from peft import LoraConfig


def lora_config(recipe: Recipe, model: nn.Module) -> LoraConfig | None:
    """Returns peft's LoraConfig of the recipe for a model, or None when all weights are trained.

    Raises:
        UserError: peft refuses a setting, or the model has no module of a name; the line says which names it has.
    """
    if recipe.model.lora is None:
        return None
    from peft import LoraConfig

    settings = libraries.typed_settings("peft.LoraConfig", recipe.model.lora, "model.lora", recipe.file)
    try:
        config = LoraConfig(**{"task_type": "CAUSAL_LM", **settings})
    except Exception as error:  # peft checks in __post_init__, with errors of many types
        raise UserError(one_line(f"{recipe.file}: section 'model.lora': peft refuses it: {error}")) from None
    _check_names(recipe, config, model)
    return config


def linear_names(model: nn.Module) -> list[str]:
    """Returns the last names of a model's linear layers but for the head's, such as q_proj: what LoRA can adapt."""
    head = cast(Any, model).get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    linear = (name for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head)
    return sorted({name.rpartition(".")[2] for name in linear if not name.rpartition(".")[2].isdecimal()})


def _check_names(recipe: Recipe, config: LoraConfig, model: nn.Module) -> None:
    """Raises UserError for a name without a module: peft overlooks it where another one of the list is found."""
    names, linear = [name for name, _ in model.named_modules()], linear_names(model)
    known = f"it has {', '.join(linear)}; 'all-linear' takes all of them"
    targets, at = config.target_modules, f"{recipe.file}: key 'model.lora.target_modules'"
    if targets is None:
        from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as DEFAULTS

        if not config.target_parameters and getattr(model.config, "model_type", None) not in DEFAULTS:
            raise UserError(one_line(f"{at} is missing, and peft knows no default for this model; {known}"))
    elif isinstance(targets, str):
        try:
            there = targets == "all-linear" or any(re.fullmatch(targets, name) for name in names)
        except re.error as error:
            raise UserError(one_line(f"{at} is no regular expression ({error}); a list of names is simpler")) from None
        if not there:
            raise UserError(one_line(f"{at}: no module of the model is called {targets!r}; {known}"))
    for key in ("target_modules", "modules_to_save", "exclude_modules"):
        listed = getattr(config, key)
        for one in sorted(listed) if isinstance(listed, list | set) else []:
            if not any(name == one or name.endswith(f".{one}") for name in names):
                said = f"{recipe.file}: key 'model.lora.{key}': the model has no module '{one}'"
                raise UserError(one_line(f"{said}{nearest(one, linear)}; {known}"))
