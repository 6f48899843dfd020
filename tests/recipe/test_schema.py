"""Recipes: whatever is wrong is one line with file, key and the nearest right name; TRL's sections pass through."""

import os
import string

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radrl.commands import train
from radrl.commands.load_recipe import load_recipe
from radrl.errors import UserError
from radrl.example import Score
from radrl.recipe import schema as recipes
from radrl.scoring import registry

BASE = "out: runs/a\nmodel: {start: tiny}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to write recipes in, with two scorers of our own."""
    monkeypatch.setattr(registry, "_SCORERS", dict(registry._SCORERS))
    for name, tasks in (("one_report", ("report",)), ("one_box", ("grounding",))):
        registry.scorer(name, tasks=tasks)(lambda examples, answers: [Score(1.0) for _ in examples])
    return tmp_path


def read(folder, more="", *overrides):
    path = folder / "r.yaml"
    path.write_text(BASE + more)
    return load_recipe(path, overrides)


def problem(folder, more="", *overrides, base=BASE):
    path = folder / "r.yaml"
    path.write_bytes(base.encode() + (more if isinstance(more, bytes) else more.encode()))
    with pytest.raises(UserError) as caught:
        load_recipe(path, overrides)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    assert "r.yaml" in text or "--set" in text
    return text


def test_defaults_and_every_section(folder):
    bare = read(folder)
    assert (bare.seed, bare.model.dtype, bare.prompt.box_format, bare.losses.coordinate_sigma) == (
        0,
        "float32",
        "unit",
        0,
    )
    full = read(
        folder,
        """
seed: 7
data: {train: [a.jsonl, /b.jsonl], dev: [d.jsonl], tasks: [report], limit: 3, quality: gold}
prompt: {box_format: unit, thinking: true}
augment: {shift: 5e-2, flip: 1}
rewards: {report: [{scorer: one_report, weight: 1e-1}], grounding: [{scorer: one_box}]}
losses: {coordinate_sigma: 0.02}
coldstart:
  thinking_share: 0.25
  teacher: {url: 'http://localhost:8000/v1/', model: big, api_key_env: KEY, timeout: 1e1}
  sft: {max_steps: 3}
sft: {learning_rate: 1e-5}
grpo: {num_generations: 8}
""",
    )
    assert full.rewards["report"][0].weight == 0.1
    assert full.augment.shift == 0.05
    assert full.coldstart.teacher.url == "http://localhost:8000/v1"
    assert full.coldstart.teacher.timeout == 10
    assert full.manifests("train") == [folder / "a.jsonl", folder.__class__("/b.jsonl")]
    with pytest.raises(UserError, match=r"key 'data\.test' is empty"):
        full.manifests("test")


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ("sed: 1", "unknown key 'sed' (did you mean 'seed'?)"),
        ("data: {trian: [a]}", "unknown key 'data.trian' (did you mean 'train'?)"),
        ("coldstart: {teacher: {modle: x}}", "'coldstart.teacher.modle' (did you mean 'model'?)"),
        ("rewards: {report: [{scorer: one_report, wieght: 1}]}", "'rewards.report.0.wieght' (did you mean 'weight'?)"),
        ("rewards: {reprot: [{scorer: one_report}]}", "(did you mean 'report'?)"),
        (
            "rewards: {report: [{scorer: one_reprot}]}",
            "'rewards.report.0.scorer': unknown scorer 'one_reprot' (did you",
        ),
        ("rewards: {report: [{scorer: one_box}]}", "'one_box' scores grounding, not report"),
        ("rewards: {report: []}", "'rewards.report'"),
        (
            "rewards: {report: [{scorer: one_report, weight: .nan}]}",
            "'rewards.report.0.weight' must be a finite number",
        ),
        ("seed: x", "key 'seed': should be a valid integer"),
        ("seed: true", "key 'seed'"),
        ("seed: -1", "key 'seed'"),
        ("data: [a]", "key 'data': should be a section"),
        ("data:", "key 'data': should be a section"),
        ("data: {train: a.jsonl}", "key 'data.train': should be a valid list"),
        ("data: {limit: 0}", "key 'data.limit'"),
        ("augment: {flip: 2}", "key 'augment.flip'"),
        ("prompt: {thinking: 1}", "key 'prompt.thinking'"),
        ("coldstart: {teacher: {url: 'http://me:secret@h', model: m}}", "should hold no user, password"),
        ("coldstart: {teacher: {url: 'h:80', model: m}}", "should be an http:// or https:// address"),
        ("coldstart: {teacher: {url: 'http://[', model: m}}", "should be an http:// or https:// address"),
        ("out: b", ":3: broken YAML: key 'out' stands here a second time"),
        ("data: [", "broken YAML"),
        ("a: b: c", ":3: broken YAML"),
        ("a: 2020-99-99", ":3: broken YAML: not a value YAML can read"),
        ("seed: !!bool x", ":3: broken YAML"),
        ("seed: !!python/object/apply:os.system [ls]", ":3: broken YAML"),
        ("a: 2020-01-01", "key 'a' has a date, which a recipe cannot hold"),
        ("1: 2", "has the key 1, which is not text"),
        ("? [a]\n: 1", "broken YAML"),
        ("a: &a [*a]", "nested too deeply"),
        ("a: " + "[" * 3000, "broken YAML"),
        ('a: "\\ud800"', "half a surrogate pair"),
        (b"a: \xff", "not UTF-8"),
        (b"a: \x00", "broken YAML"),
        ("seed: " + "9" * 5000, "broken YAML"),
        ("seed: " + "9" * 30, "too large a number"),
    ],
)
def test_mistakes_are_named(folder, more, wanted):
    assert wanted in problem(folder, more)


def test_aliases_that_unfold_into_millions_are_refused(folder):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    assert "too large" in problem(folder, "\n".join(lines))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [("", "a recipe is a mapping"), ("- a", "a recipe is a mapping"), ("hello", "a recipe is a mapping"),
     ("model: {start: tiny}", "key 'out' is missing"), ("out: a\nmodel: tiny", "key 'model': should be a section"),
     ("out: a\nmodel: {start: tiny, image_size: 96}", "key 'model.image_size': should be a multiple of 64"),
     ("out: ''\nmodel: {start: tiny}", "key 'out'"),
     ("out: a\nmodel: {start: x, image_size: 64}", "'start: tiny' only"),
     ("out: a\nmodel: {start: x, min_pixels: 9, max_pixels: 8}", "key 'model': min_pixels should not be above")],
)  # fmt: skip
def test_the_top_level_is_checked(folder, content, wanted):
    assert wanted in problem(folder, base=content)


@pytest.mark.parametrize("base", ["out: a\n", "out: a\nmodel: {}\n"])
def test_a_model_is_needed_only_where_one_is_loaded(folder, base, refusal):
    """Somebody's file of predictions is judged without one."""
    (folder / "bare.yaml").write_text(base)
    recipe = load_recipe(folder / "bare.yaml")
    assert "start" not in recipe.to_yaml()
    for command in (recipe.model_start, lambda: train.run_sft(recipe), lambda: train.run_grpo(recipe)):
        assert "key 'model.start' is missing; add it" in refusal(command)
    assert not (folder / "a").exists()


def test_a_missing_file_and_a_folder(folder):
    for path in (folder / "none.yaml", folder, folder / "a\0b", folder / "two\nlines.yaml"):
        with pytest.raises(UserError) as caught:
            load_recipe(path)
        assert len(str(caught.value).splitlines()) == 1


def test_overrides(folder):
    got = read(folder, "data: {train: [a]}", "seed=3", "data.train.0=b", "grpo.max_steps=10", "model.lora={r: 8}")
    assert [source.manifest for source in got.data.train] == ["b"]
    assert (got.seed, got.grpo, got.model.lora) == (3, {"max_steps": 10}, {"r": 8})
    assert "(did you mean 'seed'?)" in problem(folder, "", "sed=3")
    assert "write it as --set key=value" in problem(folder, "", "seed")
    assert "write it as --set key=value" in problem(folder, "", ".a=1")
    assert "is not a section" in problem(folder, "", "seed.a=1", "seed.a=1", base=BASE + "seed: 1\n")
    assert "is a list of 1" in problem(folder, "", "data.train.1=x", base=BASE + "data: {train: [a]}\n")
    assert "--set seed=[" in problem(folder, "", "seed=[")
    assert "grpo.num_generation" in problem(folder, "", "grpo.num_generation=1")


@pytest.mark.parametrize("section", ["sft", "coldstart.sft", "grpo"])
@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("learning_rat", 1, "(did you mean 'learning_rate'?)"),
        ("max_steps", True, "cannot be True; it must be a whole number"),
        ("max_steps", 1.5, "cannot be 1.5; it must be a whole number"),
        ("learning_rate", "fast", "cannot be 'fast'; it must be a number"),
        ("learning_rate", None, "it must be a number"),
        ("learning_rate", [1], "it must be a number"),
        ("bf16", "yes please", "it must be true or false or null"),
        ("gradient_checkpointing", 1, "it must be true or false"),
        ("lr_scheduler_type", "cosin", "cannot be 'cosin' (did you mean 'cosine'?)"),
        ("run_name", 3, "it must be text or null"),
        ("parallelism_config", {}, "something YAML cannot hold"),
        ("output_dir", "x", "does not belong here; set the run folder with the recipe's 'out'"),
        ("seed", 1, "does not belong here; set the recipe's 'seed'"),
    ],
)
def test_trl_keys_are_checked(folder, section, key, value, wanted):
    outer, _, inner = section.rpartition(".")
    values = {inner: {key: value}}
    text = problem(folder, yaml.safe_dump({outer: values} if outer else values))
    assert f"key '{section}.{key}'" in text
    assert wanted in text


def test_lora_keys_are_checked(folder):
    assert read(folder, "", "model.lora={r: 8, target_modules: all-linear, lora_dropout: 1e-1}").model.lora["r"] == 8
    assert "'model.lora.lora_alfa' is no field of peft.LoraConfig (did you mean 'lora_alpha'?)" in problem(
        folder, "", "model.lora={lora_alfa: 8}"
    )
    assert "'model.lora.r' cannot be 'x'; it must be a whole number" in problem(folder, "", "model.lora={r: x}")


def test_trl_configs_are_built_with_our_values_below_the_users(folder):
    got = read(
        folder,
        "seed: 5\ngrpo: {learning_rate: 1e-4, max_steps: 1e1, num_generations: 4, per_device_train_batch_size: 4,"
        " eval_strategy: no, scale_rewards: false, save_steps: 7, max_completion_length: 32}\n"
        "coldstart: {sft: {max_steps: 2, fsdp: false}}",
    )
    config = got.grpo_config(folder / "x", max_completion_length=99, log_completions=True)
    assert (config.learning_rate, config.max_steps, config.seed) == (1e-4, 10, 5)
    assert (config.output_dir, config.save_steps, config.save_total_limit) == (str(folder / "x"), 7, 2)
    assert (config.max_completion_length, config.log_completions, config.scale_rewards) == (32, True, "none")
    assert (config.report_to, config.remove_unused_columns, config.logging_steps) == ([], False, 1)
    if config.use_cpu:
        assert not config.bf16
    assert got.coldstart_config(folder / "y").max_steps == 2
    assert got.sft_config(folder / "z").seed == 5


def test_what_trl_refuses_is_one_line_with_the_section(folder):
    got = read(folder, "grpo: {num_generations: 3, per_device_train_batch_size: 4}\nsft: {fp16: true, bf16: true}")
    with pytest.raises(UserError, match=r"r\.yaml: section 'grpo'.*divisible by num_generations"):
        got.grpo_config(folder)
    with pytest.raises(UserError, match=r"r\.yaml: section 'sft'.*fp16 and bf16") as caught:
        got.sft_config(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_the_only_checkpoint_may_not_be_given_up_for_a_half_written_one(folder):
    with pytest.raises(UserError, match=r"key 'sft\.save_total_limit' should be 2 or more"):
        read(folder, "sft: {save_total_limit: 1}").sft_config(folder)


def test_a_manifest_may_have_a_share_in_a_mix(folder):
    weighted = "{manifest: b.jsonl, weight: 3, images: pics}"
    got = read(folder, f"data: {{train: [a.jsonl, {weighted}], test: [{{manifest: c, images: d}}]}}")
    plain, weighted = got.sources("train")
    assert (plain.manifest, plain.weight, plain.images) == (str(folder / "a.jsonl"), None, None)
    assert (weighted.weight, weighted.images) == (3, str(folder / "pics"))
    (folder / "run").mkdir()
    (folder / "run/recipe.yaml").write_text(got.to_yaml())
    again = load_recipe(folder / "run/recipe.yaml")
    assert [again.sources(s) for s in ("train", "test")] == [got.sources(s) for s in ("train", "test")]
    assert "are for 'train'" in problem(folder, "data: {test: [{manifest: c, count: 5}]}")
    for wrong, said in (
        ("{manifest: a, weight: 1, count: 2}", "give weight or count, not both"),
        ("{manifest: a, weigth: 2}", "unknown key 'data.train.0.weigth' (did you mean 'weight'?)"),
        ("{weight: 2}", "key 'data.train.0.manifest' is missing"),
        ("{manifest: a, weight: 0}", "data.train.0.weight"),
        ("5", "key 'data.train.0'"),
    ):
        assert said in problem(folder, f"data: {{train: [{wrong}]}}")


def test_a_stored_recipe_can_be_read_from_another_folder(folder):
    (folder / "weights").mkdir()
    got = read(folder, "data: {train: [é a.jsonl]}\nsft: {learning_rate: 1e-4}", "model.start=weights")
    other = folder / "runs" / "a"
    other.mkdir(parents=True)
    (other / "recipe.yaml").write_text(got.to_yaml())
    again = load_recipe(other / "recipe.yaml")
    assert again.manifests("train") == got.manifests("train")
    assert again.model_start() == got.model_start() == str(folder / "weights")
    assert again.path(again.out) == got.path(got.out) == other
    assert again.sft == got.sft
    assert again.to_yaml() == got.to_yaml()


def test_the_start_is_tiny_a_folder_or_a_hub_id(folder):
    assert read(folder).model_start() == "tiny"
    assert read(folder, "", "model.start=Qwen/Qwen3-VL-8B-Instruct").model_start() == "Qwen/Qwen3-VL-8B-Instruct"
    with pytest.raises(UserError, match=r"'model\.start': no such folder"):
        read(folder, "", "model.start=./none").model_start()


def test_loading_a_recipe_does_not_change_the_working_folder_or_need_it(folder, monkeypatch):
    read(folder)
    monkeypatch.chdir(folder)
    assert load_recipe("r.yaml").file == folder / "r.yaml"
    assert load_recipe("r.yaml").path("x") == folder / "x"
    assert os.getcwd() == str(folder)


words = st.sampled_from([*recipes.Recipe.model_fields, *recipes.Data.model_fields, "scorer", "start", "tiny", "report"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | words | st.dates()
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
near_recipes = st.fixed_dictionaries(
    {"out": st.just("a"), "model": st.just({"start": "tiny"}) | trees},
    optional={name: trees for name in recipes.Recipe.model_fields if name not in ("out", "model")},
)
any_file = (
    st.binary(max_size=60)
    | st.text(string.printable, max_size=60).map(str.encode)
    | (trees | near_recipes).map(lambda tree: yaml.dump(tree, allow_unicode=True).encode(errors="surrogatepass"))
)


@settings(deadline=None, max_examples=250, suppress_health_check=list(HealthCheck))
@given(any_file, st.lists(st.text(max_size=12) | words.map(lambda w: f"{w}.{w}=[1"), max_size=2))
def test_any_file_gives_a_recipe_or_one_line(tmp_path_factory, content, overrides):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(content)
    text = ""
    try:
        recipe = load_recipe(path, overrides)
        path.write_text(recipe.to_yaml())
        assert load_recipe(path).to_yaml() == recipe.to_yaml()
    except UserError as error:
        text = str(error)
    assert len(text.splitlines()) <= 1
