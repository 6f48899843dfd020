"""The first call of every function that torch leaves to oneMKL is on one number, whatever makes the model."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from radrl.models import loading
from radrl.models.tiny import make_tiny
from radrl.scoring.neural.runtime import shared


class FirstCalls(TorchDispatchMode):
    """Notes the size of the tensor that each operation is first called with."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[tuple[str, torch.dtype], int] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if args and isinstance(args[0], torch.Tensor):
            self.sizes.setdefault((function.overloadpacket.__name__, args[0].dtype), args[0].numel())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("start", ["loaded", "made", "scorer"])
def test_first_calls_are_on_one_number(tiny_folder, start):
    with FirstCalls() as first:
        if start == "loaded":
            loading.load(str(tiny_folder))
        elif start == "made":
            make_tiny(["no effusion"], image_size=64)
        else:
            shared(f"test of {start}", tiny_folder, "cpu", lambda *_: torch.rand(100_000).cos().exp().sqrt())
        angles = torch.rand(100_000)
        for dtype in (torch.float32, torch.float64):
            angles.to(dtype).cos().exp().sqrt()
    assert {
        first.sizes[name, dtype] for name in ("cos", "exp", "sqrt") for dtype in (torch.float32, torch.float64)
    } == {1}
