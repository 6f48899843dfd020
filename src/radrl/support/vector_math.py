"""A fault of torch on CPUs, avoided: the first call of sin, exp, sqrt... may have a few right digits only.

oneMKL 2024.2, which is part of torch's wheels, chooses a function's kernel when the function is first called. Where
several threads do that at once, one of them may run its share of the tensor through a kernel of low precision
(https://github.com/pytorch/pytorch/issues/188792). The first batch of a process is then slightly wrong, here a rotary
embedding by 1.5e-4 in one half of its rows, and two runs of one recipe differ.
"""

from __future__ import annotations

FUNCTIONS = (
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "rsqrt",
    "sigmoid",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
)


def choose_kernels() -> None:
    """Calls every such function on one number, in one thread; call it before the first tensor of a process. It takes
    milliseconds."""
    import torch  # late: commands that need no torch must not wait for it

    for dtype in (torch.float32, torch.float64):
        number = torch.full((1,), 0.5, dtype=dtype)
        for name in FUNCTIONS:
            getattr(torch, name)(number)
