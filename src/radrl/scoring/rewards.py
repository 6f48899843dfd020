"""A recipe's rewards as TRL reward functions: each Example is scored by the scorers of its own task.

    GRPOTrainer(reward_funcs=functions, args=GRPOConfig(reward_weights=[f.weight for f in functions]), ...)

with ``functions = load_rewards("recipe.yaml")``. The functions can be pickled, as TRL's asynchronous trainer needs.

The way of a completion through this room:

1. TRL calls each `RewardFunction` with the batch. The first call computes all rewards, the others look theirs up.
2. `Rewards.compute` parts the batch by task and gives it to workers (``workers``) or scores it here, either way by
   `completions.scorer_values`: `radrl.answers.parsing.parse` makes the text an Answer, once for all scorers.
3. `registry.Scorer` takes Examples and Answers, and gives each pair a Score: the scorer's function, its range checked.
4. `reward_terms.RewardTerm` makes the value a reward: sign, gate, scale and clip.

The weight is applied by TRL, which sums what is not None, either before or after it normalises each reward in its group
(``grpo.multi_objective_aggregation``, arXiv 2601.05242).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from radrl.boxes.notation import Size
from radrl.errors import UserError
from radrl.example import Example, Task
from radrl.manifest.from_recipe import load_examples
from radrl.prompt.messages import PromptStyle
from radrl.recipe.checks import check_sections
from radrl.recipe.schema import Recipe, read_recipe
from radrl.scoring.completions import Completion, Values, as_example, completion_text, scorer_values
from radrl.scoring.registry import Scorer
from radrl.scoring.reward_terms import RewardTerm, read_reward_terms
from radrl.scoring.workers import Pool, start


class Rewards:
    """All rewards of a recipe on a batch, computed together: each completion is parsed once, each scorer runs once."""

    def __init__(self, terms: Sequence[RewardTerm], style: PromptStyle, workers: int | str = 0) -> None:
        self.terms, self.style, self.workers = list(terms), style, workers
        used = _scorers_of(self.terms)
        self._outside = [scorer for scorer in used if scorer.kind == "cpu"] if workers else []  # in the workers
        self._pool: Pool | None = None
        self._last: tuple[list[tuple[Any, ...]], Sequence[Completion], Values] = ([], (), [])

    def __getstate__(self) -> dict[str, Any]:
        return {"terms": self.terms, "style": self.style, "workers": self.workers}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(**state)

    def compute(self, completions: Sequence[Completion]) -> Values:
        """Returns the rewards of a batch, [terms][completions]; None for a completion of another task. The last batch
        is kept: TRL asks once for each term."""
        keys = [one.key for one in completions]
        if keys != self._last[0]:
            self._last = keys, completions, self._compute(completions)  # Examples are held: their ids stay theirs
        return self._last[2]

    def _compute(self, completions: Sequence[Completion]) -> Values:
        rewards: Values = [[None] * len(completions) for _ in self.terms]
        rows: dict[Task, list[int]] = {term.task: [] for term in self.terms}
        for i, one in enumerate(completions):
            if one.example.task in rows:
                rows[one.example.task].append(i)
        # all parts are begun before the first is waited for
        parts = [self._begin(task, [completions[i] for i in of_task]) for task, of_task in rows.items() if of_task]
        for part in parts:
            scorers, values = self._finish(part)
            for term, row in zip(self.terms, rewards, strict=True):
                if term.task == part.task:
                    value = values[scorers.index(term.scorer)]
                    gate = values[scorers.index(term.gate)] if term.gate else value
                    for i, reward in zip(rows[part.task], term.rewards(value, gate), strict=True):
                        row[i] = reward
        return rewards

    def _begin(self, task: Task, completions: Sequence[Completion]) -> _Part:
        """Sends a task's completions to the workers that score them."""
        used = _scorers_of(term for term in self.terms if term.task == task)
        outside = [k for k, scorer in enumerate(self._outside) if scorer in used]
        if outside and self._pool is None:
            self._pool = start(self.workers, self._outside, self.style)
        wait = self._pool.submit(outside, completions) if outside and self._pool else list
        return _Part(task, completions, [s for s in used if s not in self._outside], outside, wait)

    def _finish(self, part: _Part) -> tuple[list[Scorer], Values]:
        """Returns the scorers of a task and their values. Neural scorers and the judge run here, one model for all,
        while the workers do the rest."""
        values = scorer_values(part.here, part.completions, self.style)
        return [*part.here, *(self._outside[k] for k in part.outside)], [*values, *part.wait()]


class _Part(NamedTuple):
    """The completions of one task: the scorers that run in this process, the places of those that the workers run, and
    the function that waits for the workers' values."""

    task: Task
    completions: Sequence[Completion]
    here: list[Scorer]
    outside: list[int]
    wait: Callable[[], Values]


def _scorers_of(terms: Iterable[RewardTerm]) -> list[Scorer]:
    """Returns the different scorers of rewards and their gates, in order."""
    different: list[Scorer] = []
    for term in terms:
        different += [s for s in (term.scorer, term.gate) if s is not None and s not in different]
    return different


class RewardFunction:
    """One reward of one task, as TRL calls it; ``__name__`` is ``task/scorer``, ``weight`` what TRL multiplies by."""

    def __init__(self, rewards: Rewards, index: int, name: str) -> None:
        self.rewards, self.index, self.__name__ = rewards, index, name

    @property
    def term(self) -> RewardTerm:
        """Returns what this reward is made of."""
        return self.rewards.terms[self.index]

    @property
    def weight(self) -> float:
        """Returns the factor of this reward in the sum."""
        return self.term.settings.weight

    @property
    def task(self) -> Task:
        """Returns the task whose Examples this reward scores."""
        return self.term.task

    @property
    def scorer(self) -> Scorer:
        """Returns the scorer behind this reward."""
        return self.term.scorer

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
        sizes: list[Size | None] = [None] * len(texts)
        if self.rewards.style.box_format == "pixel":
            sizes = _sizes(size or sizes, examples)
        batch = [Completion(*columns) for columns in zip(texts, examples, tokens, sizes, strict=True)]
        return self.rewards.compute(batch)[self.index]


def _sizes(column: Sequence[Any], examples: Sequence[Example]) -> list[Size | None]:
    """Returns the column ``size`` of a batch. Raises UserError where a question for boxes has none."""
    for one, example in zip(column, examples, strict=True):
        if one is None and example.task == "grounding":
            raise UserError(
                f"Example '{example.id}': boxes in pixels need the data set's column 'size', width and height of its "
                "resized image; or set 'prompt.box_format' to unit or thousand"
            )
    return [None if one is None else (int(one[0]), int(one[1])) for one in column]


def load_rewards(recipe: Recipe | str | Path, tasks: Iterable[Task] | None = None) -> list[RewardFunction]:
    """Returns the TRL reward functions of a recipe, or of a recipe file, for these tasks (None: all it has).

    A scorer that needs a corpus (CIDEr) gets the training Examples of its task that the recipe's ``data`` keeps.

    Raises:
        UserError: the recipe is wrong, or a scorer's package or weights are missing.
    """
    if not isinstance(recipe, Recipe):
        recipe = read_recipe(recipe)
        check_sections(recipe)
    wanted = set(recipe.rewards if tasks is None else tasks)
    terms = [term for term in read_reward_terms(recipe) if term.task in wanted]
    for scorer in _scorers_of(terms):
        if problem := scorer.missing(**scorer.options):
            raise UserError(problem)
    if any(term.scorer.fit for term in terms):
        corpus = load_examples(recipe, "train")
        terms = [
            _fitted(term, [e for e in corpus if e.task == term.task]) if term.scorer.fit else term for term in terms
        ]
    rewards = Rewards(terms, recipe.style(), recipe.scoring.workers)
    names = _numbered([f"{term.task}/{term.scorer.name}" for term in terms])
    return [RewardFunction(rewards, k, name) for k, name in enumerate(names)]


def _fitted(term: RewardTerm, corpus: Sequence[Example]) -> RewardTerm:
    """Returns the term with its scorer made ready by a corpus; the same where the scorer needs none."""
    return term._replace(scorer=term.scorer.fitted(corpus))


def _numbered(names: Sequence[str]) -> list[str]:
    """Returns the names, numbered where one stands more than once: TRL logs by name."""
    return [f"{name}_{names[:i].count(name) + 1}" if names[:i].count(name) else name for i, name in enumerate(names)]
