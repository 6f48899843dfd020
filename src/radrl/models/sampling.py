"""Drawing tokens: one random number a row."""

from __future__ import annotations

import torch

from radrl.errors import UserError

AT_ONCE = 2**24  # probabilities summed up in float64 at a time


class NoNumbers(UserError):
    """A model's output is NaN or infinite."""


def draw(probabilities: torch.Tensor, uniform: torch.Tensor | None = None) -> torch.Tensor:
    """Returns a token of each row, (R,), drawn with the given probabilities, (R, V).

    It is the first one up to which they sum to more than the row's ``uniform`` number (R,) in [0, 1). torch.multinomial
    draws a number for each token instead, which on a CPU takes a tenth of a rollout.

    Raises:
        NoNumbers: a probability is not a number.
    """
    if uniform is None:
        uniform = torch.rand(len(probabilities), dtype=torch.double, device=probabilities.device)
    size = max(1, AT_ONCE // probabilities.shape[1])
    return torch.cat([_passed(*part) for part in zip(probabilities.split(size), uniform.split(size), strict=True)])


def _passed(probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    below = probabilities.double().cumsum(-1)
    total = below[:, -1]
    if not bool(total.isfinite().all()):
        raise NoNumbers("the model's probabilities are not numbers: training has diverged, or the weights are damaged")
    # rounding must not carry it up to the sum of all, past the last token that can be drawn
    mark = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(below, mark[:, None], right=True)[:, 0]
