"""How fast does a small vision tower learn to see when every film tells it everything?

    python benchmarks/see.py [--films 24000] [--steps 3000] [--seed 1009]

Draws phantom films of a seed that no demo uses and trains a tower of the real Qwen3-VL classes (2 million parameters,
36 visual tokens a film) with small heads that are thrown away: for each of eleven findings whether it is there, its
grade, side and zone, and for each patch how much of it a finding, a lung or the heart covers. Every output that the
language model would get (merged and deepstack tokens) has heads of its own. Prints every 250 steps, on 1,000 other
films: the area under the ROC curve of each finding, the best F1 over thresholds, and the share of grades and sides
that are right. 24,000 films take 0.9 GB on the disk; about twenty minutes of two cores.
"""

from __future__ import annotations

import argparse
import math
import time
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers.models.qwen3_vl import modeling_qwen3_vl as qwen3_vl
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig

from radrl.data.phantom.film import Phantom, make
from radrl.data.phantom.findings import NAMES, SEVERITIES

SIDE, PATCH, MERGE, WIDTH = 192, 16, 2, 128  # pixels, pixels, patches a token is wide, of a token
GRID = SIDE // PATCH
PATCHES = GRID * GRID
SIDES, ZONES, PARTS = ("right", "left", "bilateral"), ("upper", "middle", "lower"), ("right lung", "left lung", "heart")
MAPS = len(NAMES) + len(PARTS)
TEST, TEST_FROM = 1000, 500_000
LAYERS = [0, 1]  # whose output goes into the first layers of a language model too (deepstack)


class Targets(NamedTuple):
    """What is true of films: (N, 11) presence, grade, side and zone (-100 where there is none), and (N, 14, 12, 12)
    how much of each patch a finding or part of the anatomy covers, 0 to 1."""

    presence: torch.Tensor
    grade: torch.Tensor
    side: torch.Tensor
    zone: torch.Tensor
    cover: torch.Tensor


def covered(box: tuple[float, float, float, float]) -> np.ndarray:
    """Returns the share of each patch (12, 12) that a box in 0-1 covers."""
    start = np.arange(GRID) / GRID
    x, y = (np.clip(np.minimum(box[k + 2], start + 1 / GRID) - np.maximum(box[k], start), 0, None) for k in (0, 1))
    return GRID * y[:, None] * GRID * x[None]


def targets_of(film: Phantom) -> tuple[np.ndarray, np.ndarray]:
    """Returns a film's labels (4, 11), -100 where there is none, and cover (14, 12, 12)."""
    labels = np.full((4, len(NAMES)), -100, np.int64)
    labels[0] = 0
    cover = np.zeros((MAPS, GRID, GRID), np.float16)
    for finding in film.findings:
        k = NAMES.index(finding.name)
        labels[0, k] = 1
        words = ((finding.severity, SEVERITIES), (finding.side, SIDES), (finding.region, ZONES))
        for row, (word, known) in enumerate(words, 1):
            if word:
                labels[row, k] = known.index(word)
        for box in finding.boxes:
            cover[k] = np.maximum(cover[k], covered(box.xyxy))
    for box in film.anatomy:
        cover[len(NAMES) + PARTS.index(box.label)] = covered(box.xyxy)
    return labels, cover


def _drawn(asked: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    film = make(*asked, SIDE)
    return film.image, *targets_of(film)


def films(folder: Path, name: str, seed: int, first: int, count: int) -> tuple[np.ndarray, Targets]:
    """Returns films (count, 192, 192) and their Targets; drawn once into ``folder`` and read from there later."""
    whole = folder / f"{name}-{seed}-{count}.npz"
    pixels = whole.with_suffix(".npy")
    if not whole.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        image = np.lib.format.open_memmap(pixels, "w+", np.uint8, (count, SIDE, SIDE))
        labels, cover = np.empty((count, 4, len(NAMES)), np.int64), np.empty((count, MAPS, GRID, GRID), np.float16)
        with Pool() as pool:
            asked = ((seed, first + k) for k in range(count))
            for k, drawn in enumerate(pool.imap(_drawn, asked, chunksize=32)):
                image[k], labels[k], cover[k] = drawn
        np.savez(whole, labels=labels, cover=cover)
    stored = np.load(whole)
    labels = torch.from_numpy(stored["labels"])
    targets = Targets(labels[:, 0].float(), *labels[:, 1:].unbind(1), torch.from_numpy(stored["cover"]))
    return np.load(pixels, mmap_mode="r"), targets


class Tower(nn.Module):
    """Qwen3-VL's vision tower, called on films of one size as a batch: the library's own forward goes film by film."""

    def __init__(self) -> None:
        super().__init__()
        self.config = Qwen3VLVisionConfig(
            initializer_range=0.04, depth=4, hidden_size=128, intermediate_size=384, num_heads=4, patch_size=PATCH,
            spatial_merge_size=MERGE, temporal_patch_size=2, out_hidden_size=WIDTH, num_position_embeddings=PATCHES,
            deepstack_visual_indexes=LAYERS,
        )  # fmt: skip
        self.visual = qwen3_vl.Qwen3VLVisionModel(self.config)
        grid = torch.tensor([[1, GRID, GRID]])
        self.positions = qwen3_vl.get_vision_position_ids(grid, MERGE, kwargs={})
        self.corners, self.shares = qwen3_vl.get_vision_interpolation_indices_and_weights(
            grid, num_grid_per_side=GRID, mode="bilinear", align_corners=True, spatial_merge_size=MERGE, kwargs={}
        )

    def forward(self, films: np.ndarray) -> list[torch.Tensor]:  # (B, 192, 192) -> (B, 36, 128) each
        """Returns the deepstack tokens and then the merged ones."""
        tower, size, tokens = self.visual, len(films), GRID // MERGE
        pixels = torch.from_numpy(np.array(films)).float().div_(127.5).sub_(1)
        pixels = pixels.view(size, tokens, MERGE, PATCH, tokens, MERGE, PATCH).permute(0, 1, 4, 2, 5, 3, 6)
        # a film is grey and is shown twice: the six equal planes of a patch are one with the sum of their weights
        weight = tower.patch_embed.proj.weight.view(self.config.hidden_size, 6, PATCH * PATCH).sum(1)
        hidden = F.linear(pixels.reshape(size, PATCHES, PATCH * PATCH), weight, tower.patch_embed.proj.bias)
        hidden = hidden + (tower.pos_embed(self.corners) * self.shares[:, :, None]).sum(1)
        cos, sin = tower.rotary_pos_emb(hidden, self.positions)
        made = []
        for layer, block in enumerate(tower.blocks):
            parts = block.attn.qkv(block.norm1(hidden)).view(size, PATCHES, 3, self.config.num_heads, -1).unbind(2)
            query, key = qwen3_vl.apply_rotary_pos_emb_vision(parts[0], parts[1], cos, sin)
            seen = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (query, key, parts[2])))
            hidden = hidden + block.attn.proj(seen.transpose(1, 2).flatten(2))
            hidden = hidden + block.mlp(block.norm2(hidden))
            if layer in LAYERS:
                made.append(tower.deepstack_merger_list[LAYERS.index(layer)](hidden.flatten(0, 1)))
        made.append(tower.merger(hidden.flatten(0, 1)))
        return [tokens.view(size, -1, WIDTH) for tokens in made]


class Heads(nn.Module):
    """Reads tokens (B, 36, 128): cover (B, 14, 12, 12), and for each finding ten logits (B, 11, 10): whether it is
    there, three grades, three sides, three zones, from the tokens that a query of the finding's own attends to."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.cover = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, MERGE * MERGE * MAPS)
        self.key, self.value = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.query = nn.Parameter(torch.randn(len(NAMES), WIDTH) * 0.1)
        self.out = nn.Parameter(torch.randn(len(NAMES), WIDTH, 10) * 0.05)
        self.bias = nn.Parameter(torch.zeros(len(NAMES), 10))

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, side = self.norm(tokens), GRID // MERGE
        cover = self.cover(tokens).view(len(tokens), side, side, MERGE, MERGE, MAPS).permute(0, 5, 1, 3, 2, 4)
        look = (self.query @ self.key(tokens).transpose(1, 2) * 4 / math.sqrt(WIDTH)).softmax(-1)
        seen = F.gelu(look @ self.value(tokens))
        logits = torch.einsum("bkc,kco->bko", seen, self.out) + self.bias
        return cover.reshape(len(tokens), MAPS, GRID, GRID), logits


def loss_of(cover: torch.Tensor, logits: torch.Tensor, true: Targets) -> torch.Tensor:
    """Returns the loss of one pair of heads."""
    words = (logits[..., 1:4], true.grade), (logits[..., 4:7], true.side), (logits[..., 7:10], true.zone)
    return (
        5 * F.binary_cross_entropy_with_logits(cover, true.cover.float())
        + 3 * F.binary_cross_entropy_with_logits(logits[..., 0], true.presence)
        + 0.3 * sum(F.cross_entropy(said.flatten(0, 1), word.flatten()) for said, word in words)
    )


def judge(tower: Tower, heads: Heads, images: np.ndarray, true: Targets) -> str:
    """Returns the figures on films that were not trained on, as a line."""
    from sklearn.metrics import f1_score, roc_auc_score

    with torch.no_grad():
        logits = torch.cat([heads(tower(images[k : k + 100])[-1])[1] for k in range(0, len(images), 100)])
    area, best = [], []
    for k in range(len(NAMES)):
        score, there = logits[:, k, 0].numpy(), true.presence[:, k].numpy()
        area.append(roc_auc_score(there, score))
        best.append(max(f1_score(there, score > cut) for cut in np.quantile(score, np.linspace(0.5, 0.98, 25))))
    right = [
        (logits[..., first : first + 3].argmax(-1) == word)[word >= 0].float().mean().item()
        for first, word in ((1, true.grade), (4, true.side))
    ]
    each = ", ".join(f"{name} {value:.2f}" for name, value in zip(NAMES, area, strict=True))
    means = f"AUC {np.mean(area):.3f}, best F1 {np.mean(best):.3f}, grade {right[0]:.2f}, side {right[1]:.2f}"
    return f"{means}; AUC of {each}"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--films", type=int, default=24000)
    ask.add_argument("--steps", type=int, default=3000)
    ask.add_argument("--seed", type=int, default=1009)
    ask.add_argument("--out", type=Path, default=Path("runs/see"))
    given = ask.parse_args()
    images, true = films(given.out, "train", given.seed, 0, given.films)
    test_images, test_true = films(given.out, "test", given.seed, TEST_FROM, TEST)
    torch.manual_seed(0)
    tower, heads = Tower(), nn.ModuleList(Heads() for _ in range(len(LAYERS) + 1))
    parameters = [*tower.parameters(), *heads.parameters()]
    print(f"{sum(p.numel() for p in tower.parameters()):,} parameters of the tower", flush=True)
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min(1, (k + 1) / 100) * (0.49 * (1 + math.cos(math.pi * k / given.steps)) + 0.02)
    )
    draw, start = np.random.default_rng(0), time.monotonic()
    for step in range(1, given.steps + 1):
        rows = np.sort(draw.choice(len(images), 32, replace=False))
        some = Targets(*(x[rows] for x in true))
        losses = [loss_of(*head(tokens), some) for head, tokens in zip(heads, tower(images[rows]), strict=True)]
        optimizer.zero_grad()
        (losses[-1] + 0.3 * sum(losses[:-1])).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 0 or step == given.steps:
            print(
                f"step {step}, {time.monotonic() - start:.0f} s: {judge(tower, heads[-1], test_images, test_true)}",
                flush=True,
            )
    torch.save({"tower": tower.visual.state_dict(), "heads": heads.state_dict()}, given.out / "tower.pt")


if __name__ == "__main__":
    main()
