"""A recipe's rewards as TRL reward functions: each Example is scored by the scorers of its own task.

    GRPOTrainer(reward_funcs=functions, args=GRPOConfig(reward_weights=[f.weight for f in functions]), ...)

with ``functions = load_rewards("recipe.yaml")``. The functions can be pickled, as TRL's asynchronous trainer needs.
What a reward makes of a scorer's value is in items.py. The weight is applied by TRL, which sums what is not None,
either before or after it normalises each reward in its group (``grpo.multi_objective_aggregation``, arXiv 2601.05242).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from radrl.answers.parsing import parse
from radrl.boxes.notation import Size
from radrl.errors import UserError
from radrl.example import Answer, Example, Task
from radrl.manifest.from_recipe import load_examples
from radrl.prompt.messages import PromptStyle
from radrl.recipe import libraries
from radrl.recipe.schema import Recipe, read
from radrl.scoring.registry import Scorer
from radrl.scoring.reward_terms import Item, read_items
from radrl.scoring.workers import Pool, start


class Rewards:
    """All rewards of a recipe on a batch, computed together: each completion is parsed once, each scorer runs once."""

    def __init__(self, items: Sequence[Item], style: PromptStyle, workers: Any = 0) -> None:
        self.items, self.style, self.workers = list(items), style, workers
        used = _different(s for item in items for s in (item.scorer, item.gate) if s)
        self._outside = [scorer for scorer in used if scorer.kind == "cpu"] if workers else []
        self._pool: Pool | None = None
        self._key: tuple[Any, ...] | None = None
        self._found: list[list[float | None]] = []
        self._examples: Sequence[Example] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {"items": self.items, "style": self.style, "workers": self.workers}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(**state)

    def of(
        self,
        texts: Sequence[str],
        examples: Sequence[Example],
        tokens: Sequence[int | None],
        sizes: Sequence[Size | None] | None = None,
    ) -> list[list[float | None]]:
        """Returns the rewards of a batch, [items][completions]. The last batch is kept: TRL asks once for each item.
        ``sizes`` are those of the resized images, for boxes in pixels."""
        sizes = [None] * len(texts) if sizes is None else sizes
        key = (tuple(texts), tuple(map(id, examples)), tuple(tokens), tuple(sizes))
        if key != self._key:
            self._found = self._compute(texts, examples, tokens, sizes)
            self._key, self._examples = key, examples  # the Examples are held, so that their ids stay theirs
        return self._found

    def _compute(self, texts: Sequence[str], *others: Sequence[Any]) -> list[list[float | None]]:
        examples = others[0]
        found: list[list[float | None]] = [[None] * len(texts) for _ in self.items]
        parts = {}  # of each task: the rows, the batch, and the workers' answer to come
        for task in dict.fromkeys(item.task for item in self.items):
            rows = [i for i, example in enumerate(examples) if example.task == task]
            if rows:
                part = tuple([column[i] for i in rows] for column in (texts, *others))
                wanted = [k for k, s in enumerate(self._outside) if s in self._of(task)]
                parts[task] = (rows, part, wanted, self._start().submit(wanted, *part) if wanted else list)
        for task, (rows, part, wanted, pending) in parts.items():
            # neural scorers and the judge run here, one model for all, while the workers do the rest
            here = [s for s in self._of(task) if s not in self._outside]
            scorers = [*here, *(self._outside[k] for k in wanted)]
            values = [*raw_values(here, *part, self.style), *pending()]
            for k, item in enumerate(self.items):
                if item.task == task:
                    of_item = values[scorers.index(item.scorer)]
                    of_gate = values[scorers.index(item.gate)] if item.gate else of_item
                    for i, reward in zip(rows, item.rewards(of_item, of_gate), strict=True):
                        found[k][i] = reward
        return found

    def _of(self, task: Task) -> list[Scorer]:
        """Returns the different scorers that a task's rewards need."""
        return _different(s for item in self.items if item.task == task for s in (item.scorer, item.gate) if s)

    def _start(self) -> Pool:
        if self._pool is None:
            self._pool = start(self.workers, raw_values, self._outside, self.style)
        return self._pool


class RewardFunction:
    """One reward of one task, as TRL calls it; ``__name__`` is ``task/scorer``, ``weight`` what TRL multiplies by."""

    def __init__(self, rewards: Rewards, index: int, name: str) -> None:
        self.rewards, self.index, self.__name__ = rewards, index, name

    @property
    def weight(self) -> float:
        """Returns the factor of this reward in the sum."""
        return self.rewards.items[self.index].settings.weight

    @property
    def task(self) -> Task:
        """Returns the task whose Examples this reward scores."""
        return self.rewards.items[self.index].task

    @property
    def scorer(self) -> Scorer:
        """Returns the scorer behind this reward."""
        return self.rewards.items[self.index].scorer

    def __call__(
        self,
        completions: Sequence[Any],
        example: Sequence[Any] | None = None,
        completion_ids: Sequence[Sequence[int]] | None = None,
        size: Sequence[Any] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Returns the reward of each completion, None for Examples of other tasks.

        ``example`` is the data set's column of that name: Examples, or their JSON as text. Where boxes are in pixels
        there is a column ``size`` too: width and height of the first image as the model's processor resizes it.

        Raises:
            UserError: the data set has no such column.
        """
        if example is None:
            raise UserError("the rewards need the data set's column 'example': an Example as JSON text in each row")
        texts = [completion_text(completion) for completion in completions]
        tokens = [None] * len(texts) if completion_ids is None else [len(ids) for ids in completion_ids]
        examples = [as_example(one) for one in example]
        sizes = None
        if self.rewards.style.box_format == "pixel":
            sizes = _sizes(size or [None] * len(texts), examples)
        return self.rewards.of(texts, examples, tokens, sizes)[self.index]


def load_rewards(recipe: Recipe | str | Path, tasks: Iterable[Task] | None = None) -> list[RewardFunction]:
    """Returns the TRL reward functions of a recipe, or of a recipe file, for these tasks (None: all it has).

    A scorer that needs a corpus (CIDEr) gets the training Examples of its task that the recipe's ``data`` keeps.

    Raises:
        UserError: the recipe is wrong, or a scorer's package or weights are missing.
    """
    if not isinstance(recipe, Recipe):
        recipe = read(recipe)
        libraries.check_sections(recipe)
    wanted = set(recipe.rewards if tasks is None else tasks)
    items = [item for item in read_items(recipe) if item.task in wanted]
    for item in items:
        for scorer in filter(None, (item.scorer, item.gate)):
            if problem := scorer.missing(**scorer.options):
                raise UserError(problem)
    if any(item.scorer.fit for item in items):
        corpus = load_examples(recipe, "train")
        items = [
            item._replace(scorer=item.scorer.fitted([e for e in corpus if e.task == item.task]))
            if item.scorer.fit
            else item
            for item in items
        ]
    style = recipe.style()
    rewards = Rewards(items, style, recipe.scoring.workers)
    return [
        RewardFunction(rewards, k, name)
        for k, name in enumerate(_names([f"{item.task}/{item.scorer.name}" for item in items]))
    ]


def raw_values(
    wanted: Sequence[Scorer],
    texts: Sequence[str],
    examples: Sequence[Example],
    tokens: Sequence[int | None],
    sizes: Sequence[Size | None],
    style: PromptStyle,
) -> list[list[float | None]]:
    """Returns each scorer's values for completions of one task, [scorers][completions]. ``sizes`` are those of the
    resized images, for boxes in pixels."""
    if not wanted:
        return []
    parsed: dict[tuple[Any, ...], Answer] = {}
    answers = []
    for text, example, count, size in zip(texts, examples, tokens, sizes, strict=True):
        key = (text, id(example), count, size)
        if key not in parsed:
            parsed[key] = parse(text, example, style, count, size)
        answers.append(parsed[key])
    return [[None if one is None else one.value for one in scorer(examples, answers)] for scorer in wanted]


def _sizes(column: Sequence[Any], examples: Sequence[Example]) -> list[Size | None]:
    """Returns the column ``size`` of a batch. Raises UserError where a question for boxes has none."""
    for one, example in zip(column, examples, strict=True):
        if one is None and example.task == "grounding":
            raise UserError(
                f"Example '{example.id}': boxes in pixels need the data set's column 'size', width and height of its "
                "resized image; or set 'prompt.box_format' to unit or thousand"
            )
    return [None if one is None else (int(one[0]), int(one[1])) for one in column]


_examples: dict[str, Example] = {}


def as_example(value: Any) -> Example:
    """Returns the Example of a data set's cell: an Example, its JSON as text, or a mapping without empty fields.

    Raises:
        UserError: it is none of these.
    """
    if isinstance(value, Example):
        return value
    try:
        if not isinstance(value, str):  # Arrow fills the fields that a row does not have with None
            value = json.dumps({k: v for k, v in value.items() if v is not None})
        if value not in _examples:  # one object for equal rows: equal completions to it are scored once
            if len(_examples) > 10_000:
                _examples.clear()
            _examples[value] = Example.model_validate_json(value)
        return _examples[value]
    except (ValueError, AttributeError, TypeError) as error:
        said = str(error).splitlines()[0]
        raise UserError(f"the data set's column 'example' holds what is no Example ({said})") from None


def completion_text(completion: Any) -> str:
    """Returns the text of a TRL completion, which is a string or one assistant message."""
    if isinstance(completion, str):
        return completion
    content = completion[0]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _different(scorers: Iterable[Scorer]) -> list[Scorer]:
    found: list[Scorer] = []
    for scorer in scorers:
        if scorer not in found:
            found.append(scorer)
    return found


def _names(names: Sequence[str]) -> list[str]:
    """Numbers what stands more than once: TRL logs by name."""
    return [f"{name}_{names[:i].count(name) + 1}" if names[:i].count(name) else name for i, name in enumerate(names)]
