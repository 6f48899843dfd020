"""Completions: what one case gets depends on no other, whichever backend and however often the run was stopped."""

from __future__ import annotations

import sys
import time
import types

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from openai_server import serve
from transformers import GenerationConfig, RepetitionPenaltyLogitsProcessor

from radrl.errors import UserError
from radrl.evaluation.answers import endpoint_backend, transformers_backend, vllm_backend
from radrl.evaluation.answers.ask_model import ask_model
from radrl.evaluation.answers.backend import Completion
from radrl.evaluation.answers.decoding import Decoding, case_seed, stop_at
from radrl.evaluation.answers.digests import model_digest
from radrl.evaluation.answers.sources import Shard, Source
from radrl.evaluation.answers.transformers_backend import Draws, Penalty
from radrl.manifest.example_set import read_manifests
from radrl.models.processor import resized
from radrl.output.run_facts import settings_notes
from radrl.prompt.messages import PromptStyle, question
from radrl.recipe.endpoints import Endpoint

STYLE = PromptStyle()


@pytest.fixture(scope="module")
def films(phantom_set):
    """Six Examples of two films."""
    return read_manifests([phantom_set / "test.jsonl"]).take(range(6))


def answered(function, *arguments, todo, **more) -> dict[tuple[int, int], Completion]:
    found: list[Completion] = []
    function(*arguments, todo, found.extend, **more)
    assert len({(one.index, one.sample) for one in found}) == len(found)
    return {(one.index, one.sample): one for one in found}


@pytest.mark.parametrize("settings", [{}, {"repetition_penalty": 1.8, "top_k": 40, "top_p": 0.9}])
def test_a_sampled_completion_does_not_depend_on_its_batch(tiny, films, settings):
    decoding = Decoding(temperature=1.0, max_new_tokens=6, samples=3, seed=5, **settings)
    todo = [(i, sample) for i in range(len(films)) for sample in range(3)]
    state = torch.random.get_rng_state()
    together = answered(transformers_backend.generate, *tiny, films, STYLE, decoding, todo=todo)
    assert torch.equal(torch.random.get_rng_state(), state)
    alone = answered(
        transformers_backend.generate, *tiny, films, STYLE, decoding._replace(batch_size=1), todo=todo[::-1]
    )
    assert together == alone
    other = answered(transformers_backend.generate, *tiny, films, STYLE, decoding._replace(seed=6), todo=todo)
    assert other != together
    assert len({together[0, sample].text for sample in range(3)}) > 1
    assert all(1 <= one.tokens <= 6 for one in together.values())


def test_draws_follow_the_distribution():
    logits = torch.tensor([0.3, 2.0, -1.0, -torch.inf, 1.0])
    for temperature in (1.0, 0.5):
        decoding = Decoding(temperature, max_new_tokens=1)
        draws = Draws(decoding, [case_seed(0, "x", k) for k in range(4000)], 3)
        picked = draws(torch.zeros(4000, 3, dtype=torch.long), logits.expand(4000, -1)).argmax(-1)
        share = torch.bincount(picked, minlength=5) / 4000
        wanted = torch.softmax(logits / temperature, -1)
        error = torch.sqrt(wanted * (1 - wanted) / 4000)
        assert ((share - wanted).abs() <= 4 * error).all()


@pytest.mark.parametrize(
    "settings", [{"top_k": 3}, {"top_p": 0.7}, {"top_k": 4, "top_p": 0.8}, {"more": {"min_p": 0.2}}]
)
def test_draws_are_narrowed_as_transformers_narrows(tiny, settings):
    logits = torch.tensor([[0.3, 2.0, -1.0, -torch.inf, 1.0, 1.2]])
    draws = Draws(Decoding(0.5, 1, **settings), [case_seed(0, "x", k) for k in range(4000)], 3)
    picked = draws(torch.zeros(4000, 3, dtype=torch.long), logits.expand(4000, -1)).argmax(-1)
    flat = {**settings, **settings.get("more", {}), "top_k": settings.get("top_k", 0)}
    flat.pop("more", None)
    config = GenerationConfig(do_sample=True, temperature=0.5, **flat)
    theirs = tiny[0]._get_logits_processor(config, input_ids_seq_length=3)
    wanted = torch.softmax(theirs(torch.zeros(1, 3, dtype=torch.long), logits), -1)[0]
    share = torch.bincount(picked, minlength=6) / 4000
    assert ((share - wanted).abs() <= 4 * torch.sqrt(wanted * (1 - wanted) / 4000)).all()
    assert (wanted == 0).sum() > 1


OWN = {
    "repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_new_tokens": 7, "suppress_tokens": [*range(0, 600, 2)],
    "bad_words_ids": [[1]], "do_sample": True, "temperature": 9.0, "top_k": 3, "num_beams": 2, "stop_strings": "e",
}  # fmt: skip


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_models_own_settings_change_no_completion(tiny, films, temperature):
    model, processor = tiny
    decoding, todo = Decoding(temperature, max_new_tokens=8), [(i, 0) for i in range(len(films))]
    before = answered(transformers_backend.generate, model, processor, films, STYLE, decoding, todo=todo)
    own = model.generation_config = GenerationConfig(
        eos_token_id=model.generation_config.eos_token_id, pad_token_id=model.generation_config.pad_token_id, **OWN
    )
    assert answered(transformers_backend.generate, model, processor, films, STYLE, decoding, todo=todo) == before
    assert model.generation_config is own
    assert own.repetition_penalty == 1.3


@pytest.mark.parametrize("batch_size", [1, 64])
def test_settings_of_the_recipe_act_as_transformers_own(tiny, films, batch_size):
    model, processor = tiny
    model.generation_config.eos_token_id = list(range(0, len(processor.tokenizer), 5))  # untrained, it hardly ever ends
    wanted = {"repetition_penalty": 1.6, "min_new_tokens": 9, "max_new_tokens": 30}
    decoding = Decoding(**wanted, batch_size=batch_size)
    found = answered(transformers_backend.generate, model, processor, films, STYLE, decoding, todo=[(3, 0), (0, 0)])
    for i in (0, 3):
        inputs = transformers_backend.prompt_inputs(processor, [films[i]], [films.pictures(i)], STYLE)
        with torch.no_grad():
            output = model.generate(**inputs, do_sample=False, **wanted)
        made = output[0, inputs["input_ids"].shape[1] :].tolist()
        assert found[i, 0].tokens == len(made) > 9
        said = made[:-1] if made[-1] in model.generation_config.eos_token_id else made
        assert found[i, 0].text == processor.tokenizer.decode(said, skip_special_tokens=True)
    plain = answered(
        transformers_backend.generate, model, processor, films, STYLE, Decoding(max_new_tokens=30), todo=[(0, 0)]
    )
    assert plain[0, 0].text != found[0, 0].text


def test_padding_is_not_penalised():
    scores = torch.tensor([[1.0, 2.0, 3.0, -1.0, 0.5, 0.4]])
    ids, mask = torch.tensor([[0, 0, 2, 3], [4, 4, 2, 5]]), torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    found = Penalty(2.0, mask)(torch.cat([ids, torch.tensor([[1], [1]])], 1), scores.repeat(2, 1))
    theirs = RepetitionPenaltyLogitsProcessor(2.0)
    assert torch.equal(found[:1], theirs(torch.tensor([[2, 3, 1]]), scores))
    assert torch.equal(found[1:], theirs(torch.tensor([[4, 4, 2, 5, 1]]), scores))


def test_a_stop_text_ends_a_completion_and_is_left_out(tiny, films):
    model, processor = tiny
    todo = [(i, 0) for i in range(len(films))]
    plain = answered(
        transformers_backend.generate, model, processor, films, STYLE, Decoding(max_new_tokens=16), todo=todo
    )
    stop = plain[0, 0].text[6:9]
    assert len(stop) == 3
    stopped = Decoding(max_new_tokens=16, stop=(stop, "not said"))
    found = answered(transformers_backend.generate, model, processor, films, STYLE, stopped, todo=todo)
    for ask, one in plain.items():
        assert found[ask].text == one.text.partition(stop)[0]
        assert (found[ask].tokens < one.tokens) == (stop in one.text)
    late = stopped._replace(min_new_tokens=16)
    assert answered(transformers_backend.generate, model, processor, films, STYLE, late, todo=todo) == plain


@given(st.text("ab", max_size=12), st.lists(st.text("ab", min_size=1, max_size=3), min_size=1), st.integers(0, 12))
def test_the_stop_text_that_is_complete_first_counts(text, stop, start):
    at = stop_at(text, stop, start)
    ends = [k for k in range(start + 1, len(text) + 1) if text[:k].endswith(tuple(stop))]
    assert (at is None) == (not ends)
    if ends:
        assert any(text[at:].startswith(one) and at + len(one) == ends[0] for one in stop)


def test_tokens_count_the_end_token(tiny, films):
    model, processor = tiny
    model.generation_config.eos_token_id = list(range(len(processor.tokenizer)))
    found = answered(
        transformers_backend.generate, model, processor, films, STYLE, Decoding(max_new_tokens=4), todo=[(0, 0)]
    )
    assert found[0, 0].tokens == 1


# A run is a tiny model that answers; a stop is an error after so many batches.


@pytest.fixture
def run(make_recipe, tiny_folder, films, tmp_path, monkeypatch):
    """``run(out, *overrides, stop_after=k, shard=..)`` collects with batches of one; notes what was asked."""
    asked: list[tuple[int, int]] = []
    real = transformers_backend.generate

    def watched(*arguments):
        *rest, todo, done = arguments
        left = [run.stop_after]

        def counted(said):
            asked.extend((one.index, one.sample) for one in said)
            done(said)
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

        real(*rest, todo, counted)

    monkeypatch.setattr(transformers_backend, "generate", watched)

    def run(out, *overrides, stop_after=-1, shard=None, examples=films):
        run.stop_after = stop_after
        recipe = make_recipe("evaluation.max_new_tokens=4", "evaluation.batch_size=1", *overrides)
        return ask_model(recipe, Source("tiny", str(tiny_folder)), examples, tmp_path / out, shard=shard)

    run.asked = asked
    return run


SAMPLED = ("evaluation.temperature=1.0", "evaluation.samples=2")


@pytest.mark.parametrize("overrides", [(), SAMPLED])
def test_a_run_stopped_anywhere_goes_on_without_repeating_a_case(run, films, tmp_path, overrides):
    whole = run("whole", *overrides)
    cases = [*run.asked]
    run.asked.clear()
    for stop_after in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            run("stopped", *overrides, stop_after=stop_after)
    path = tmp_path / "stopped" / "tiny.jsonl"
    path.write_bytes(path.read_bytes() + b'{"id": "held-out')  # torn by the kill
    assert run("stopped", *overrides) == whole
    assert sorted(run.asked) == sorted(cases)
    assert path.read_bytes() == (tmp_path / "whole" / "tiny.jsonl").read_bytes()
    run("stopped", *overrides)
    assert len(run.asked) == len(cases)
    assert [one.id for one in whole.samples[0]] == [example.id for example in films]


def test_shards_put_together_are_the_whole(run, tmp_path):
    whole = run("whole", *SAMPLED)
    assert run("parts", *SAMPLED, shard=Shard(1, 3)) is None
    with pytest.raises(KeyboardInterrupt):
        run("parts", *SAMPLED, shard=Shard(2, 3), stop_after=1)
    run.asked.clear()
    assert run("parts", *SAMPLED) == whole
    assert len(run.asked) == 12 - 4 - 1
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == ["tiny.json", "tiny.jsonl"]


def test_what_was_begun_otherwise_is_refused(run, films, refusal):
    run("out")
    assert "decoding.max_new_tokens was 4, is 5" in refusal(run, "out", "evaluation.max_new_tokens=5")
    assert "hashes.manifest was" in refusal(run, "out", examples=films.take(range(5)))
    run("parts", shard=Shard(1, 2))
    assert "decoding.temperature was 0.0, is 1.0" in refusal(run, "parts", "evaluation.temperature=1.0")


@pytest.mark.parametrize("text", ["1", "0/2", "3/2", "a/b", "1/", "-1/2", "²/2"])
def test_a_shard_is_k_of_n(refusal, text):
    assert f"--shard {text}" in refusal(Shard.parse, text)


def test_two_trainings_of_one_architecture_differ(tiny, tmp_path):
    from radrl.models import loading

    loading.save(*tiny, tmp_path / "a")
    before = model_digest(str(tmp_path / "a"))
    with torch.no_grad():
        next(tiny[0].parameters()).add_(1e-3)
    loading.save(*tiny, tmp_path / "b")
    assert model_digest(str(tmp_path / "b")) != before


# An endpoint that fails in every way there is.


def test_every_case_is_answered_once_in_order_through_all_faults(make_recipe, films, tmp_path):
    asked = [question(example, STYLE) for example in films]
    faults = {
        0: [429, (503, {"retry-after": "0"}), "hang up"],
        1: ["not json", {"choices": []}, {"choices": [{"message": None}]}],
        2: ["slow"],
        3: [500, "slow", 429],
    }

    def answer(said, nth):
        case = asked.index(said)
        failed = faults.get(case, [])
        fault = failed[nth - 1] if nth <= len(failed) else None
        if fault == "slow":
            time.sleep(0.4)  # the client has given up by then
            return "too late"
        return fault or {
            "choices": [{"message": {"content": f"answer {case}"}, "finish_reason": "stop"}],
            "usage": {"completion_tokens": 7},
        }

    with serve(answer) as server:
        recipe = make_recipe(
            f"evaluation.endpoints.api={{url: '{server.url}', model: big, timeout: 0.2, backoff: 0.001, retries: 4, "
            "concurrency: 3}"
        )
        found = ask_model(recipe, Source("API", "endpoint:api"), films, tmp_path / "out")
        again = ask_model(recipe, Source("API", "endpoint:api"), films, tmp_path / "out")
    assert [one.completion for one in found.samples[0]] == [f"answer {k}" for k in range(6)]
    assert [one.id for one in found.samples[0]] == [example.id for example in films]
    assert {one.tokens for one in found.samples[0]} == {7}
    assert len(server.asked) == 6 + sum(map(len, faults.values()))  # so nothing is asked the second time
    assert again == found
    body = server.bodies[-1]
    assert (body["temperature"], body["max_tokens"], "seed" in body) == (0.0, 256, False)
    assert found.header.decoding["max_new_tokens"] == 256


NEUTRAL = {"top_p": 1.0, "top_k": -1, "repetition_penalty": 1.0}
FULL = ("top_p=0.9", "top_k=5", "repetition_penalty=1.1", "min_new_tokens=3", "stop=[END]", "temperature=0.5")


@pytest.mark.parametrize(
    ("sampling", "overrides", "sent", "theirs"),
    [
        ("vllm", (), NEUTRAL, []),  # so that the defaults of the server's folder are off
        (
            "vllm",
            FULL,
            {"top_p": 0.9, "top_k": 5, "repetition_penalty": 1.1, "min_tokens": 3, "stop": ["END"], "min_p": 0.0},
            [],
        ),
        ("vllm", ("generation_config=model", "top_k=0"), {"top_k": -1}, ["top_p", "repetition_penalty"]),
        ("openai", (), {}, ["top_p", "top_k", "repetition_penalty"]),
        ("openai", ("top_p=0.9", "stop=[END]"), {"top_p": 0.9, "stop": ["END"]}, ["top_k", "repetition_penalty"]),
    ],
)
def test_an_endpoint_is_told_every_setting_or_the_header_says_whose_it_is(
    make_recipe, films, tmp_path, sampling, overrides, sent, theirs
):
    with serve(lambda said, nth: "fine") as server:
        recipe = make_recipe(
            f"evaluation.endpoints.api={{url: '{server.url}', model: big, sampling: {sampling}}}",
            *(f"evaluation.{one}" for one in overrides),
        )
        found = ask_model(recipe, Source("API", "endpoint:api"), films, tmp_path / "out")
    usual = {"model", "messages", "max_tokens", "temperature", "seed"}
    assert {key: value for key, value in server.bodies[0].items() if key not in usual} == sent
    decoding = found.header.decoding
    assert [key for key, value in decoding.items() if value == "the server's own"] == theirs
    assert any("decoded by its server's own" in note for note in settings_notes({"API": found.header})) == bool(theirs)


def test_settings_that_an_endpoint_does_not_take_are_named(make_recipe, films, tmp_path, refusal):
    strict = (400, {"content-type": "application/json"})
    with serve(lambda said, nth: (strict, "Unrecognized request argument supplied: repetition_penalty")) as server:
        api = f"evaluation.endpoints.api={{url: '{server.url}', model: big, concurrency: 1"
        line = refusal(ask_model, make_recipe(api + "}"), Source("API", "endpoint:api"), films, tmp_path / "out")
        assert "names repetition_penalty" in line
        assert "sampling: openai" in line
        assert len(server.asked) == 1  # at once, not after twenty
        recipe = make_recipe(api + ", sampling: openai}", "evaluation.top_k=5")
        assert "has no top_k" in refusal(ask_model, recipe, Source("API", "endpoint:api"), films, tmp_path / "out")


def test_a_stopped_endpoint_run_goes_on(make_recipe, films, tmp_path, refusal):
    asked = [question(example, STYLE) for example in films]
    broken = {"yes": True}

    def answer(said, nth):
        return 401 if broken["yes"] and asked.index(said) == 4 else f"answer {asked.index(said)}"

    with serve(answer) as server:
        recipe = make_recipe(
            f"evaluation.endpoints.api={{url: '{server.url}', model: big, backoff: 0.001, concurrency: 1}}"
        )
        arguments = (recipe, Source("API", "endpoint:api"), films, tmp_path / "out")
        assert "HTTP 401" in refusal(ask_model, *arguments)
        broken["yes"] = False
        found = ask_model(*arguments)
        assert "no endpoint 'apo' (did you mean 'api'?)" in refusal(
            ask_model, recipe, Source("API", "endpoint:apo"), films, tmp_path
        )
    assert [one.completion for one in found.samples[0]] == [f"answer {k}" for k in range(6)]
    assert sorted(server.asked) == sorted([*asked, asked[4]])


@pytest.mark.parametrize(
    "reply", [400, {"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]}]
)
def test_a_refused_case_is_named_and_the_others_are_kept(make_recipe, films, tmp_path, refusal, reply):
    asked = [question(example, STYLE) for example in films]
    with serve(lambda said, nth: reply if said == asked[2] else "fine") as server:
        recipe = make_recipe(f"evaluation.endpoints.api={{url: '{server.url}', model: big, concurrency: 2}}")
        line = refusal(ask_model, recipe, Source("API", "endpoint:api"), films, tmp_path / "out")
    assert f"1 of 6 requests have no answer, '{films[2].id}' first" in line
    assert (tmp_path / "out" / "API.jsonl").read_text().count("\n") == 5


def test_pictures_travel_as_the_processor_resizes_them(tiny, films):
    import base64
    import io

    from PIL import Image

    processor = tiny[1].image_processor
    picture = films.pictures(0)[0].resize((300, 200))
    small = resized(processor, picture)
    ours, theirs = (processor([p], return_tensors="pt")["pixel_values"] for p in (picture, small))
    assert torch.equal(ours, theirs)
    with serve(lambda said, nth: "fine") as server:
        endpoint = Endpoint(url=server.url, model="big")
        answered(endpoint_backend.generate, endpoint, processor, films, STYLE, Decoding(0.5, 9), todo=[(0, 0)])
    content = server.bodies[0]["messages"][0]["content"]
    sent = Image.open(io.BytesIO(base64.b64decode(content[0]["image_url"]["url"].partition(",")[2])))
    assert np.array_equal(np.asarray(sent), np.asarray(resized(processor, films.pictures(0)[0])))
    assert content[-1]["text"] == question(films[0], STYLE)
    assert server.bodies[0]["seed"] == case_seed(0, films[0].id, 0)


def test_thinking_that_a_server_set_apart_is_put_back(films):
    def answer(said, nth):
        return {"choices": [{"message": {"content": "Yes.", "reasoning_content": "I see."}, "finish_reason": "stop"}]}

    with serve(answer) as server:
        endpoint = Endpoint(url=server.url, model="big")
        found = answered(endpoint_backend.generate, endpoint, None, films, STYLE, Decoding(), todo=[(0, 0)])
    assert found[0, 0].text == "<think>I see.</think>\nYes."


def test_vllm_is_asked_with_our_prompt_pictures_and_seeds(tiny, films, monkeypatch):
    seen = {}

    class LLM:
        def __init__(self, **options):
            seen["options"] = options

        def generate(self, prompts, settings, use_tqdm):
            seen.update(prompts=prompts, settings=settings)
            one = [types.SimpleNamespace(text=f"said {k}", token_ids=[1] * (k + 1)) for k in range(len(prompts))]
            return [types.SimpleNamespace(outputs=[said]) for said in one]

    vllm = types.SimpleNamespace(LLM=LLM, SamplingParams=lambda **settings: settings)
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    todo = [(2, 1), (0, 0)]
    decoding = Decoding(0.7, 9, 2, 3, 64, 0.9, 5, 1.1, 2, ("END",), {"min_p": 0.1})
    found = answered(
        vllm_backend.generate, "folder", tiny[1], films, STYLE, decoding, todo=todo, options={"max_model_len": 512},
        ends=[638], bounds={"max_pixels": 4096},
    )  # fmt: skip
    assert found[2, 1] == Completion(2, 1, "said 0", 1)
    assert found[0, 0] == Completion(0, 0, "said 1", 2)
    assert seen["options"]["model"] == "folder"
    assert seen["options"]["max_model_len"] == 512
    assert seen["prompts"][0]["prompt"] == transformers_backend.prompt_text(tiny[1], films[2], STYLE)
    assert (
        seen["prompts"][1]["multi_modal_data"]["image"][0].size
        == resized(tiny[1].image_processor, films.pictures(0)[0]).size
    )
    assert seen["options"]["generation_config"] == "vllm"
    assert seen["options"]["mm_processor_kwargs"] == {"max_pixels": 4096}
    assert seen["settings"][0] == {
        "temperature": 0.7, "max_tokens": 9, "seed": case_seed(3, films[2].id, 1), "top_p": 0.9, "top_k": 5,
        "repetition_penalty": 1.1, "min_tokens": 2, "stop": ["END"], "stop_token_ids": [638], "min_p": 0.1,
    }  # fmt: skip


def test_settings_that_vllm_does_not_have_are_named(refusal):
    line = refusal(vllm_backend.check, "a", Decoding(more={"no_repeat_ngram_size": 3}), "--model A=a")
    assert line.startswith("--model A=a: its generation_config sets no_repeat_ngram_size, which vLLM does not take")
    vllm_backend.check("a", Decoding(more={"min_p": 0.1}), "x")


def test_vllm_not_installed_is_said(tiny, films, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match="needs vLLM"):
        answered(vllm_backend.generate, "folder", tiny[1], films, STYLE, Decoding(), todo=[(0, 0)])
