"""10,000 Examples whose texts hold control tokens, through every stage's encoding: none comes from the data.

    python benchmarks/special_tokens.py [--examples 10000] [--seed 0]

Every text of an Example (question, reference, options, history, thinking, labels of boxes) is drawn anew: marks of
chat models, parts of them, and words. What each stage makes of it is compared with what it makes of the same Example in
plain words: as many control tokens, of the same kinds, in the same order.

- SFT and cold start: the rows of the collator. GRPO: prompt ids as TRL's trainer makes them. Evaluation: the inputs of
  transformers' ``generate``, and the string that vLLM is given, tokenized.
- The prompt by two of the chat templates of other published models, with tokenizers that have their marks.
- Strings that go to a server (endpoint, judge, teacher, cleaner), by two of these tokenizers.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trl
from PIL import Image
from trl.data_utils import prepare_multimodal_messages

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from tokenizers_of_others import PLAIN, SPECIAL, made

from radrl.commands import train
from radrl.commands.load_recipe import load_recipe
from radrl.data import phantom
from radrl.data.manifests.cleaning import _Replies
from radrl.example import Answer, Box, Example, Turn
from radrl.models.inputs import Row, prompt_inputs, prompt_text, sft_inputs
from radrl.prompt import instructions
from radrl.prompt.control_tokens import FAMILIES, of_tokenizer
from radrl.prompt.messages import PromptStyle, messages, target
from radrl.recipe.endpoints import Endpoint
from radrl.scoring.judge import _prompt
from radrl.support.endpoint import Reply
from radrl.training import grpo, teacher
from radrl.training.checks import run_checks
from radrl.training.stage import Stage

MARKS = [token for table in (SPECIAL, PLAIN) for tokens in table.values() for token in tokens]
WORDS = ["heart", "0.25", "left lung", "effusion", "no", "<", ">", "|", "[", "CTR <0.5", "\n", "\u2060", "é", "？"]
PUBLISHED = {"qwen3_vl": "qwen", "qwen2_5_vl": "qwen", "gemma3": "gemma", "llava_next": "mistral", "smolvlm": "others"}
TASKS = ("report", "grounding", "vqa_closed", "vqa_open")
PLAIN_STYLE, THINKING = PromptStyle(), PromptStyle(thinking=True)
RECIPE = """
out: run
model: {{start: tiny, image_size: 64}}
data: {{train: ['{folder}/train.jsonl']}}
rewards: {{{rewards}}}
grpo: {{max_steps: 1, per_device_train_batch_size: 2, num_generations: 2}}
"""


def drawn(rng: random.Random) -> str:
    """Returns a text of marks, parts of marks and words."""
    parts = []
    for _ in range(rng.randint(1, 7)):
        mark = rng.choice(MARKS)
        cut = rng.randint(1, len(mark) - 1)
        parts.append(rng.choice([mark, mark, mark[:cut], mark[cut:], rng.choice(WORDS), " "]))
    return "".join(parts).strip() or "heart"


def made_of(say: Callable[[], str], number: int) -> Example:
    """Returns an Example of the number's shape, whose every text is what ``say`` gives."""
    task = TASKS[number % 4]
    box = Box(xyxy=(0.1, 0.2, 0.3, 0.4), label=say()) if task == "grounding" else None
    choices = (f"{say()} a", f"{say()} b", f"{say()} c") if task == "vqa_closed" else ()
    history = (Turn(question=say(), answer=say()),) if number % 3 == 0 else ()
    return Example(
        id=f"e{number}", task=task, question=say(), images=("a.png",) if number % 5 else (), choices=choices,
        reference=choices[1] if choices else say(), boxes=(box,) if box else (), thinking=say(), history=history,
    )  # fmt: skip


def marks_of(tokenizer: Any, ids: Any, *, all_added: bool = True) -> list[str]:
    """Returns the control tokens among token ids; of a server's tokenizer those that are special or of a known kind."""
    known = control_ids(tokenizer, all_added)
    return [known[number] for number in map(int, ids) if number in known]


@cache
def control_ids(tokenizer: Any, all_added: bool) -> dict[int, str]:
    """Returns the control tokens of a tokenizer by their ids."""
    return {
        number: token.content
        for number, token in tokenizer.added_tokens_decoder.items()
        if of_tokenizer(tokenizer).found_in(token.content)
        and (all_added or token.special or FAMILIES.found_in(token.content))
    }


def two_of(them: list[Any], shape: int) -> list[Any]:
    """Returns two of several, others for each shape of an Example."""
    return [them[(shape * 2 + k) % len(them)] for k in range(2)]


class Listening:
    """In place of a connection: keeps the text it is asked, and answers nothing of use."""

    endpoint = SimpleNamespace(model="m")

    def __init__(self) -> None:
        self.said = ""

    async def complete(self, content: list[dict[str, Any]], *_: Any) -> Reply:
        self.said = content[-1]["text"]
        return Reply("", cut=True)


class Bench:
    """The tiny model's processor, TRL's trainer, and the ways out to servers."""

    def __init__(self, folder: Path) -> None:
        phantom.write(folder, {"train": 4}, size=64, workers=1)
        rewards = ", ".join(f"{task}: [{{scorer: format}}]" for task in TASKS)
        (folder / "recipe.yaml").write_text(RECIPE.format(folder=folder, rewards=rewards))
        recipe = load_recipe(folder / "recipe.yaml")
        examples = train.load_examples(recipe)
        model, self.processor = train.start_model(run_checks.Run(recipe, "sft", folder / "run", examples))
        built: list[Any] = []
        grpo.train_and_save = lambda trainer, *_: built.append(trainer) or {}  # type: ignore[assignment]
        grpo.train_grpo(recipe, model, self.processor, examples, Stage(folder / "run", "GRPO"))
        self.trainer = built[0]
        self.picture = Image.new("L", (64, 64))
        self.others = {name: self._other(name, family) for name, family in PUBLISHED.items()}
        self.servers = [made(family) for family in SPECIAL if family != "others"] + [self.processor.tokenizer]
        endpoint = Endpoint(url="http://localhost/v1", model="m", attempts=1)
        self.cleaner = _Replies(folder / "replies", endpoint, instructions.read_instruction("cleaner"))
        self.teacher = teacher._Job(
            endpoint, instructions.read_instruction("teacher"), folder, None, teacher.TraceReport(),  # type: ignore[arg-type]
            lambda example: target(example, PLAIN_STYLE), lambda example: example.question, Image.open, None,
        )  # fmt: skip

    @staticmethod
    def _other(name: str, family: str) -> Any:
        tokenizer = made(family)
        tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text()
        written = tokenizer.apply_chat_template
        return SimpleNamespace(tokenizer=tokenizer, chat_template=tokenizer.chat_template, apply_chat_template=written)

    def encoded(self, example: Example, shape: int) -> Iterator[tuple[str, list[str]]]:
        """Yields each stage's name and the control tokens in what it makes of an Example."""
        own, pictures = self.processor.tokenizer, [self.picture] * len(example.images)
        for name, style in (("SFT", PLAIN_STYLE), ("cold start", THINKING)):
            inputs = sft_inputs(self.processor, [Row(pictures, [(example, style), (example, style)])])
            yield name, marks_of(own, inputs["input_ids"][0])
            yield f"{name}, what is taught", marks_of(own, [n for n in inputs["labels"][0] if n >= 0])
        row = messages(example, THINKING, control=of_tokenizer(own))
        row = prepare_multimodal_messages(row, images=pictures) if pictures else row
        yield "GRPO, TRL's prompt ids", marks_of(own, self.trainer.tokenize_prompts([row])[0][0])
        for style in (PLAIN_STYLE, PromptStyle(template="{options}{question}{question}", options="lines")):
            inputs = prompt_inputs(self.processor, [example], [pictures], style)
            yield "evaluation", marks_of(own, inputs["input_ids"][0])
            yield "vLLM's string", marks_of(own, own(prompt_text(self.processor, example, style))["input_ids"])
            for name, other in two_of(list(self.others.items()), shape):
                text = prompt_text(other, example.model_copy(update={"history": ()}), style)
                yield f"prompt by {name}", marks_of(other.tokenizer, other.tokenizer(text)["input_ids"])
        for name, text in self.sent(example):
            for tokenizer in two_of(self.servers, shape):
                yield name, marks_of(tokenizer, tokenizer(text)["input_ids"], all_added=False)

    def sent(self, example: Example) -> Iterator[tuple[str, str]]:
        """Yields the strings that servers are sent."""
        for turn in messages(example, PLAIN_STYLE):
            yield "endpoint", turn["content"][-1]["text"]
        yield "judge", _prompt(example, Answer(example.reference, example.thinking), graded=False)
        chat = Listening()
        asyncio.run(self.teacher._one(chat, example.model_copy(update={"images": ()})))  # type: ignore[arg-type]
        yield "teacher", chat.said
        asyncio.run(self.cleaner._one(chat, example, lambda _: None))  # type: ignore[arg-type]
        yield "cleaner", chat.said


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--examples", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    rng, began = random.Random(asked.seed), time.monotonic()
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    wanted: dict[int, list[tuple[str, list[str]]]] = {}  # by shape: the form's own control tokens
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for number in range(asked.examples):
            shape = number % 60
            if shape not in wanted:
                wanted[shape] = list(bench.encoded(made_of(lambda: "heart", shape), shape))
            found = list(bench.encoded(made_of(lambda: drawn(rng), number), shape))
            for (stage, marks), (_, form) in zip(found, wanted[shape], strict=True):
                counts[stage] += 1
                faults[stage] += marks != form
    print(f"{asked.examples:,} Examples, {sum(counts.values()):,} encodings, {time.monotonic() - began:.0f} s")
    for stage, count in counts.items():
        print(f"{count:>10,}  {stage}: {faults[stage]} with a control token from the data")
    sys.exit(bool(sum(faults.values())))


if __name__ == "__main__":
    main()
