"""Whether intervals and p-values keep what they promise, by simulation, and what they cost.

    python benchmarks/intervals.py coverage [--sets 1000] [--part means|clusters|pooled|seeds]
    python benchmarks/intervals.py p [--sets 1000]
    python benchmarks/intervals.py cider [--data ../shared/data]
    python benchmarks/intervals.py speed

``coverage``: share of sets whose 95% interval holds the truth, with the shares that lie wholly below and above it, for
both kinds of interval. ``p``: Kolmogorov-Smirnov test of permutation p-values against the uniform where models do not
differ. ``cider``: what fixing the document frequencies of CIDEr over resamples does to its standard error. ``speed``:
seconds for 10,000 resamples of 12 metrics on 3,000 cases.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.stats import kstest

from radrl.evaluation.metrics.average_precision import ap_without_confidence
from radrl.evaluation.metrics.set_statistics import Auroc, SumStatistic, mean
from radrl.evaluation.statistics.intervals import Resamples, interval, permutation_p, resample, swapped
from radrl.evaluation.statistics.seeds import over_seeds

BOUNDS = np.array([[0.0, 1.0]])


def f1(sums: np.ndarray) -> np.ndarray:
    """Returns F1 from the sums of true positives, false positives and misses."""
    total = 2 * sums[..., 0] + sums[..., 1] + sums[..., 2]
    return np.divide(2 * sums[..., 0], total, out=np.zeros_like(total), where=total > 0)


def report(name: str, statistics: list, patient: np.ndarray, truth: float, samples: int, bounded: bool = True) -> None:
    """Prints the coverage of many sets that share patients' numbers: their resamples are shared too."""
    found = resample(statistics, patient, samples, 0)
    bounds = np.repeat(BOUNDS, len(statistics), axis=0) if bounded else None
    said = []
    for method in ("percentile", "bca"):
        low, high = interval(found, bounds, method=method)
        below, above = (high < truth - 1e-12).mean(), (low > truth + 1e-12).mean()
        said.append(f"{100 * (1 - below - above):5.1f} ({100 * below:.1f} / {100 * above:.1f})")
    print(f"  {name:<34}{said[0]:<22}{said[1]}", flush=True)


def means(draw: np.random.Generator, sets: int, samples: int) -> None:
    """Independent cases: right or wrong, skewed, and lying at both ends as finding F1 does."""
    for n in (40, 100, 320, 1000):
        for p in (0.5, 0.9, 0.97):
            values = (draw.random((n, sets)) < p).astype(float)
            report(f"right or wrong, p {p}, n {n}", [mean(v) for v in values.T], np.arange(n), p, samples)
        values = draw.beta(0.5, 2, (n, sets))
        report(f"skewed (beta 0.5, 2), n {n}", [mean(v) for v in values.T], np.arange(n), 0.2, samples)
        kind = draw.random((n, sets))
        values = np.select([kind < 0.3, kind < 0.55], [0.0, 1.0], draw.beta(2, 2, (n, sets)))
        report(f"30% 0, 25% 1, rest between, n {n}", [mean(v) for v in values.T], np.arange(n), 0.475, samples)
        values = draw.lognormal(3, 0.5, (n, sets))
        report(
            f"words (log-normal 0.5), n {n}", [mean(v) for v in values.T], np.arange(n), np.exp(3.125), samples, False
        )
        values = (draw.random((n, sets)) < 0.6).astype(float) - (draw.random((n, sets)) < 0.55)
        report(f"difference of two models, n {n}", [mean(v) for v in values.T], np.arange(n), 0.05, samples, False)


def clusters(draw: np.random.Generator, sets: int, samples: int) -> None:
    """Patients with 1 to 6 cases each that are alike."""
    for n in (40, 100, 320):
        patient = np.repeat(np.arange(n), draw.integers(1, 7, n))
        share = draw.beta(1, 1.5, (n, sets))[patient]
        values = (draw.random(share.shape) < share).astype(float)
        report(f"right or wrong, {n} patients", [mean(v) for v in values.T], patient, 0.4, samples)
        values = np.exp(draw.normal(0, 0.5, (n, sets)))[patient] * np.exp(draw.normal(0, 0.3, share.shape))
        report(f"skewed, {n} patients", [mean(v) for v in values.T], patient, np.exp(0.17), samples, False)


def pooled(draw: np.random.Generator, sets: int, samples: int) -> None:
    """Metrics of the set: micro F1 of 8 labels, AUROC, mAP50 of one box a case without confidence."""
    for n in (40, 100, 320):
        often = np.array([0.3, 0.2, 0.1, 0.05, 0.15, 0.02, 0.25, 0.4])
        made = []
        for _ in range(sets):
            there = draw.random((n, 8)) < often
            said = np.where(there, draw.random((n, 8)) < 0.7, draw.random((n, 8)) < 0.06)
            counts = [(there & said).sum(1), (~there & said).sum(1), (there & ~said).sum(1)]
            made.append(SumStatistic(np.column_stack(counts).astype(float), f1))
        hit, false = 0.7 * often.sum(), 0.06 * (1 - often).sum()
        report(f"micro F1 of 8 labels, n {n}", made, np.arange(n), 2 * hit / (hit + false + often.sum()), samples)
    few = max(100, sets // 4)  # these rank all cases in each resample
    for n in (100, 320):
        positive = np.arange(n) % 3 == 0
        made = [Auroc(draw.normal(positive * 1.0, 1), positive) for _ in range(few)]
        report(f"AUROC, a third positive, n {n}", made, np.arange(n), 0.7602499, samples // 2)
        made = [ap_without_confidence([np.array([[v]]) for v in draw.random(n) < 0.6], (0.5,)) for _ in range(few)]
        large = ap_without_confidence([np.array([[float(v)]]) for v in np.arange(100_000) % 10 < 6], (0.5,))
        report(f"mAP50, boxes 60% right, n {n}", made, np.arange(n), float(large.at(np.ones((1, 100_000)))[0]), samples)


def seeds(draw: np.random.Generator, sets: int, samples: int) -> None:
    """Several training runs on the same 100 patients: patients alone, drawn hierarchically, and Student's t."""
    print("  runs, SD between        patients alone    hierarchical percentiles    t over seeds and patients, width")
    for count in (2, 3, 5, 10):
        for spread in (0.03, 0.3):  # patients alone: 0.1
            covered, width = np.zeros(3), 0.0
            for k in range(sets):
                level = draw.normal(0, spread, count)[:, None] + draw.normal(0, 1, 100)
                runs = level + draw.normal(0, 0.5, (count, 100))
                found = resample([mean(run) for run in runs], np.arange(100), 400, k)
                one = Resamples(
                    found.values.mean(keepdims=True), found.draws.mean(1, keepdims=True),
                    found.left_out.mean(1, keepdims=True), found.patients[:1],
                )  # fmt: skip
                low, high = interval(one)
                picks = draw.integers(0, count, (400, count))
                ends = np.quantile(np.take_along_axis(found.draws, picks, 1).mean(1), [0.025, 0.975])
                t_low, t_high, _ = over_seeds(one, [found.values])
                covered += [low[0] <= 0 <= high[0], ends[0] <= 0 <= ends[1], t_low <= 0 <= t_high]
                width += t_high - t_low
            shown = "".join(f"{100 * share:8.1f}            " for share in covered / sets)
            print(f"  {count} runs, {spread:<14}{shown}{width / sets:.2f}", flush=True)


PARTS: dict[str, Callable[[np.random.Generator, int, int], None]] = {
    "means": means, "clusters": clusters, "pooled": pooled, "seeds": seeds,
}  # fmt: skip


def p_values(sets: int) -> None:
    """Prints the KS test of p-values of models that do not differ."""
    draw = np.random.default_rng(1)
    patient = np.repeat(np.arange(60), 3)

    def cases() -> Iterator[tuple[str, list]]:
        own = [draw.normal(size=60)[patient] for _ in range(sets)]
        yield (
            "continuous, by patient",
            [
                (mean(one + draw.normal(0, 0.3, 180)), mean(other + draw.normal(0, 0.3, 180)))
                for one, other in zip(own, reversed(own), strict=True)
            ],
        )
        tables = [draw.integers(0, 4, (2, 180, 3)).astype(float) for _ in range(sets)]
        yield "micro F1", [(SumStatistic(a, f1), SumStatistic(b, f1)) for a, b in tables]
        positive = np.arange(180) % 3 == 0
        aurocs = [[Auroc(draw.normal(positive * 1.0, 1), positive) for _ in range(2)] for _ in range(sets // 10)]
        yield "AUROC", [(a, b) for a, b in aurocs]

    for name, pairs in cases():
        p = permutation_p(swapped(pairs, patient, 999, 0))
        print(f"  {name:<26}KS p = {kstest(p, 'uniform').pvalue:.3f}, below 0.05: {(p < 0.05).mean():.3f} of {len(p)}")


def cider(data: Path) -> None:
    """Prints the bootstrap's standard error of CIDEr with the frequencies of the whole set, and of each resample."""
    from radrl.example import Answer, Example
    from radrl.scoring import registry

    folder = data / "iu_metric_runs" / "qwen_dino_sft_rag_top20_copy_oracle_cw1_lr2e5_logp_top20"
    said, wanted = (json.loads((folder / name).read_text()) for name in ("test_preds.json", "test_refs.json"))
    examples = [Example(id=k, task="report", question="?", reference=wanted[k][0]) for k in said]
    answers = [Answer(said[k][0]) for k in said]
    scorer = registry.get("cider")
    fixed = np.array([s.value for s in scorer.fitted(examples)(examples, answers)])
    draw = np.random.default_rng(0)
    kept, anew = [], []
    for _ in range(150):
        rows = draw.integers(0, len(examples), len(examples))
        kept.append(fixed[rows].mean())
        chosen, given = [examples[i] for i in rows], [answers[i] for i in rows]
        anew.append(np.mean([s.value for s in scorer.fitted(chosen)(chosen, given)]))
    print(f"CIDEr {fixed.mean():.4f}")
    for name, values in (("fixed frequencies", kept), ("frequencies of each resample", anew)):
        print(f"  {name}: mean {np.mean(values):.4f}, standard error {np.std(values):.4f}")


def speed() -> None:
    """Prints what 10,000 resamples and swaps cost."""
    draw = np.random.default_rng(0)
    a, b = draw.random((2, 3000, 12))
    for name, run in (
        ("bootstrap with intervals", lambda: interval(resample([mean(v) for v in a.T], np.arange(3000), 10_000, 0))),
        (
            "permutation",
            lambda: swapped([(mean(x), mean(y)) for x, y in zip(a.T, b.T, strict=True)], np.arange(3000), 10_000),
        ),
    ):
        start = time.perf_counter()
        run()
        print(f"{name}: {time.perf_counter() - start:.2f} s for 12 metrics on 3,000 cases, 10,000 times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("coverage", "p", "cider", "speed"))
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RADRL_TEST_DATA", "../shared/data")))
    asked = parser.parse_args()
    if asked.what == "coverage":
        print(f"Nominal 95%; {asked.sets} sets; covered (set's interval below / above the truth), percent")
        print(f"  {'':<34}{'percentile':<22}BCa")
        for part in asked.part or PARTS:
            PARTS[part](np.random.default_rng(0), asked.sets, asked.samples)
    elif asked.what == "p":
        p_values(asked.sets)
    elif asked.what == "cider":
        cider(asked.data)
    else:
        speed()


if __name__ == "__main__":
    main()
