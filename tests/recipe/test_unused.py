"""Keys of TRL's configs that would be taken and not applied are refused; every field has been looked at."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from trl import GRPOConfig, SFTConfig

from radrl.commands.load_recipe import load_recipe
from radrl.recipe import unused

OPTIONS = Path(__file__).parents[2] / "docs" / "trl_options.md"
CONFIGS = {"trl.SFTConfig": (SFTConfig, "sft"), "trl.GRPOConfig": (GRPOConfig, "grpo")}
# values that are not what happens anyway, where they cannot be made of the default
OTHER = {
    "eval_accumulation_steps": 4, "include_for_metrics": ["loss"], "train_sampling_strategy": "group_by_length",
    "resume_from_checkpoint": "x", "label_names": ["y"], "local_rank": 1, "max_length": 1024, "truncation_mode":
    "keep_end", "completion_only_loss": False, "remove_unused_columns": True, "disable_tqdm": False,
    "packing_strategy": "wrapped", "eval_packing": True, "pad_to_multiple_of": 8, "dataset_num_proc": 2,
    "neftune_noise_alpha": 5, "data_seed": 3, "label_smoothing_factor": 0.1, "hub_strategy": "end",
    "include_num_input_tokens_seen": "all", "hub_private_repo": True, "importance_sampling_level": "sequence",
    "vllm_mode": "server", "vllm_importance_sampling_mode": "token_mask", "scale_rewards": "batch",
    "dataloader_multiprocessing_context": "spawn", "optim_args": "rank=4", "optim_target_modules": ["q_proj"],
    "dataloader_prefetch_factor": 2, "max_tool_calling_iterations": 1, "delta": 2.0, "epsilon_high": 0.3,
    "num_completions_to_print": 1, "vllm_max_model_length": 9, "vllm_importance_sampling_clip_min": 0.1,
    "vllm_importance_sampling_cap": 2.0, "vllm_model_impl": "transformers",
}  # fmt: skip
# of each key that is needed: what is enough, and what is not
ENOUGH = {
    "gradient_checkpointing": (True, False), "optim": ("galore_adamw", "adamw_torch"), "beta": (0.1, 0.0),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"), "vllm_mode": ("server", "colocate"),
    "dataloader_num_workers": (1, 0), "fsdp": ("full_shard", None),
}  # fmt: skip


def other(field):
    """A value that is not the field's default."""
    if field.name in OTHER:
        return OTHER[field.name]
    if isinstance(field.default, bool):
        return not field.default
    if isinstance(field.default, int | float):
        return field.default + 1
    return {"x": 1} if "dict" in str(field.type) else "x"


def fields_of(kind):
    return {field.name: field for field in dataclasses.fields(CONFIGS[kind][0]) if field.init}


@pytest.fixture
def sections(tmp_path):
    """Checks one section of this kind."""

    def check(kind, values):
        config, name = CONFIGS[kind]
        unused.check_applied(kind, config, values, name, tmp_path / "recipe.yaml")

    return check


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_is_not_applied_is_refused_and_what_happens_anyway_is_not(sections, refusal, kind):
    fields, name = fields_of(kind), CONFIGS[kind][1]
    for key in {**unused.UNUSED["both"], **unused.UNUSED[kind]}:
        assert f"key '{name}.{key}' cannot be" in refusal(sections, kind, {key: other(fields[key])})
    sections(kind, {"remove_unused_columns": False, "disable_tqdm": True, "do_train": True, "use_cache": False})
    more = {"max_length": None, "completion_only_loss": True, "packing_strategy": "bfd", "loss_type": "chunked_nll"}
    sections("trl.SFTConfig", {**more, "train_sampling_strategy": "sequential"})


@pytest.mark.parametrize("row", unused.NEEDS, ids=lambda row: f"{row[0][0]} needs {row[1]}")
def test_a_key_without_the_one_it_needs_is_refused(sections, refusal, row):
    keys, needed, (words, fits) = row
    kinds = [kind for kind in CONFIGS if set(keys) <= set(fields_of(kind)) and needed in fields_of(kind)]
    assert kinds
    kind = "trl.SFTConfig" if keys == ("label_smoothing_factor",) else kinds[-1]
    if needed == "loss_type":
        known = ("nll", "dft") if kind == "trl.SFTConfig" else unused.CHOICES["loss_type"]
        enough, not_enough = (next(one for one in known if fits(one) == right) for right in (True, False))
    else:
        enough, not_enough = ENOUGH.get(needed, (True, False))
    for key in keys:
        value = other(fields_of(kind)[key])
        base = {"use_vllm": True} if key.startswith("vllm") and needed != "use_vllm" else {}
        base |= {"beta": 1.0} if needed == "sync_ref_model" else {}
        sections(kind, {**base, needed: enough, key: value} if key != needed else base)
        message = refusal(sections, kind, {**base, needed: not_enough, key: value})
        assert f"{key}' would not be applied: it needs '{needed}' to be {words}" in message


def test_a_value_that_trl_looks_at_in_the_first_step_only_is_refused_before(sections, refusal):
    assert "loss_type' is 'grop' (did you mean 'grpo'?)" in refusal(sections, "trl.GRPOConfig", {"loss_type": "grop"})
    assert "loss_type' is 'dtf' (did you mean 'dft'?)" in refusal(sections, "trl.SFTConfig", {"loss_type": "dtf"})
    for name, choices in unused.CHOICES.items():
        assert f"{name}' is 'x'" in refusal(sections, "trl.GRPOConfig", {name: "x"})
        for choice in choices:
            sections("trl.GRPOConfig", {"use_vllm": True, name: choice})


@pytest.mark.parametrize("section", ["sft", "coldstart.sft"])
@pytest.mark.parametrize("setting", ["loss_type: dft", "label_smoothing_factor: 0.1"])
def test_soft_labels_and_another_loss_are_not_both_taken(make_recipe, refusal, section, setting):
    soft = "losses.coordinate_sigma=0.02"
    assert "cannot go with 'losses.coordinate_sigma'" in refusal(make_recipe, soft, f"{section}={{{setting}}}")
    make_recipe(soft, f"{section}={{loss_type: nll, label_smoothing_factor: 0}}")
    make_recipe(f"{section}={{{setting}}}")


@pytest.mark.parametrize("written", ["thousand", "pixel", "qwen2"])
def test_soft_coordinates_of_boxes_that_are_written_otherwise_are_refused(make_recipe, refusal, written):
    said = refusal(make_recipe, "losses.coordinate_sigma=0.02", f"prompt.box_format={written}")
    assert said.endswith(f"is for boxes of 'prompt.box_format: unit', not '{written}'; leave one out")


def test_the_recipe_is_checked_so(tmp_path, refusal):
    file = tmp_path / "recipe.yaml"
    file.write_text("out: run\ncoldstart: {sft: {completion_only_loss: false}}\n")
    said = "key 'coldstart.sft.completion_only_loss' cannot be False: the answer is taught and the prompt is not"
    assert said in refusal(load_recipe, file)


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_field_of_the_installed_config_has_been_looked_at(kind):
    """A field that a new version brings must be decided on, and written into the page."""
    column = {"trl.SFTConfig": 0, "trl.GRPOConfig": 1}[kind]
    listed = {}
    for row in re.findall(r"^\| (`.*)$", OPTIONS.read_text(), re.MULTILINE):
        names, sft, grpo, *_ = row.split(" | ")
        for name in re.findall(r"`([a-z0-9_]+)`", names):
            assert name not in listed, f"{name} is listed twice"
            listed[name] = (sft, grpo)
    decided = {name for name, ways in listed.items() if ways[column] != "–"}
    assert decided == set(fields_of(kind))
    refused = {name for name in decided if listed[name][column] == "refused"}
    assert refused == {*unused.UNUSED["both"], *unused.UNUSED[kind]}
