"""Makes golden_text.json: what the authors' programs say of the texts of text_pairs.py, and of published predictions.

    python tests/scoring/make_golden_text.py R2GEN IU_METRIC_RUNS

The Python has rouge-score 0.1.2, nltk 3.10, pycocoevalcap 1.2 (and Java), sacrebleu 2.6, fast-bleu 0.0.90. R2GEN is a
checkout of zhjohnchan/R2Gen, IU_METRIC_RUNS that folder of RADRL_TEST_DATA: its texts are not ours to copy, so the
golden file has only figures of them. Whose program gives what:

- ``bleu_1`` to ``bleu_4``, ``cider``, ``rouge_l_coco``: pycocoevalcap on the text as it is, which cuts at white space
  (its ROUGE-L at each space). RadVLM's vilmedic/NLG and RadEval's nlg have copies of its BLEU and CIDEr-D
- ``meteor``: the program in pycocoevalcap, its line EVAL
- ``…(r2gen_iu)``, ``…(r2gen_mimic)``: pycocoevalcap on texts cleaned by R2Gen's modules/tokenizers.py
- ``rouge_…``: rouge_score, as RadVLM's vilmedic/NLG/rouge/rouge.py and RadEval's nlg/rouge/rouge.py call it (stemmed)
- ``google_bleu``: nltk's corpus_gleu, orders 1 to 4, of sacrebleu's tokenizer 13a: metrics/google_bleu of Hugging
  Face's evaluate, which RadVLM-GRPO's verl/custom_rewards/google_bleu_reward.py calls
- ``bleu_…(13a)``: sacrebleu without smoothing, for sets
- ``bleu_2_rexrank``: fast_bleu, called as CXRMetric/run_eval.py of CXR-Report-Metric does
- ``bleu_..._medevalkit``: nltk's sentence_bleu, called as MedEvalKit's utils/Metrics_Compute/cal_report_metrics.py does
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pycocoevalcap.bleu.bleu
from fast_bleu import BLEU as FastBleu
from nltk.translate.bleu_score import sentence_bleu
from nltk.translate.gleu_score import corpus_gleu
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from text_pairs import pairs, published

HERE = Path(__file__).parent


def of_coco(said: list[str], wanted: list[str]) -> dict[str, tuple[float, list[float]]]:
    """Returns BLEU, ROUGE-L and CIDEr-D of the COCO caption scripts: of the set and of each case."""
    given, there = ({k: [text] for k, text in enumerate(side)} for side in (said, wanted))
    of_set, of_cases = Bleu(4).compute_score(there, given, verbose=0)
    found = {f"bleu_{n}": (of_set[n - 1], of_cases[n - 1]) for n in range(1, 5)}
    for name, program in (("rouge_l_coco", Rouge()), ("cider", Cider())):
        value, cases = program.compute_score(there, given)
        found[name] = (value, list(cases))
    return found


def of_meteor(said: list[str], wanted: list[str]) -> tuple[float, list[float]]:
    """Returns METEOR of the set and of each case, as the program itself evaluates its statistics."""
    folder = Path(pycocoevalcap.bleu.bleu.__file__).parents[1] / "meteor"
    command = ["java", "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", "meteor-1.5.jar"]
    command += ["-", "-", "-stdio", "-l", "en", "-norm"]

    def ask(lines: list[str]) -> list[str]:
        ran = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, encoding="utf-8", cwd=folder)
        return ran.stdout.splitlines()

    flat = lambda text: " ".join(text.replace("|||", " ").split())  # noqa: E731
    counts = ask([f"SCORE ||| {flat(b)} ||| {flat(a)}" for a, b in zip(said, wanted, strict=True)])
    values = [float(line) for line in ask([f"EVAL ||| {' ||| '.join(counts)}"])]
    return values[-1], [0.0 if np.isnan(one) else one for one in values[:-1]]


def of_all(said: list[str], wanted: list[str], clean) -> dict[str, tuple[float, list[float]]]:
    """Returns every figure: of the set and of each case."""
    found = of_coco(said, wanted)
    for how, cleaner in clean.items():
        cleaned = of_coco([cleaner(text) for text in said], [cleaner(text) for text in wanted])
        found |= {f"{name}({how})": value for name, value in cleaned.items()}
    for stem in (True, False):
        rouges = ("rouge1", "rouge2", "rougeL")
        cases = [RougeScorer(rouges, use_stemmer=stem).score(b, a) for a, b in zip(said, wanted, strict=True)]
        for name in rouges:
            values = [one[name].fmeasure for one in cases]
            key = f"rouge_{name[5:].lower()}_{'stem' if stem else 'nostem'}"
            found[key] = (float(np.mean(values)), values)
    cut = Tokenizer13a()
    both = [([cut(b).split()], cut(a).split()) for a, b in zip(said, wanted, strict=True)]
    cases = [corpus_gleu([b], [a], min_len=1, max_len=4) for b, a in both]
    found["google_bleu"] = (corpus_gleu(*map(list, zip(*both, strict=True)), min_len=1, max_len=4), cases)
    for n in range(1, 5):
        program = BLEU(tokenize="13a", smooth_method="none", max_ngram_order=n)
        found[f"bleu_{n}(13a)"] = (program.corpus_score(said, [wanted]).score / 100, [])
    words = lambda text: [word for word in text.lower().replace(".", " .").split(" ") if word]  # noqa: E731
    cases = [
        FastBleu([words(b)], {"bigram": (1 / 2, 1 / 2)}).get_score([words(a)])["bigram"][0]
        for a, b in zip(said, wanted, strict=True)
    ]
    found["bleu_2_rexrank"] = (float(np.mean(cases)), cases)
    for n in range(1, 5):
        weights = [1 / n] * n
        cases = [sentence_bleu([words(b)], words(a), weights=weights) for a, b in zip(said, wanted, strict=True)]
        found[f"bleu_{n}_medevalkit"] = (float(np.mean(cases)), cases)
    found["meteor"] = of_meteor(said, wanted)
    return found


def main() -> None:
    clone, runs = map(Path, sys.argv[1:])
    spec = importlib.util.spec_from_file_location("r2gen", clone / "modules" / "tokenizers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    clean = {
        "r2gen_iu": lambda text: module.Tokenizer.clean_report_iu_xray(None, text),
        "r2gen_mimic": lambda text: module.Tokenizer.clean_report_mimic_cxr(None, text),
    }
    said, wanted = map(list, zip(*pairs(), strict=True))
    found = {name: {"set": s, "cases": c} for name, (s, c) in of_all(said, wanted, clean).items()}
    golden = {"pairs": found}
    for name, texts in published(runs).items():
        figures = of_all(*map(list, zip(*texts, strict=True)), clean)
        golden[name] = {key: {"set": s, "mean": float(np.mean(c)) if c else None} for key, (s, c) in figures.items()}
    rounded = json.loads(json.dumps(golden), parse_float=lambda text: round(float(text), 7))
    (HERE / "golden_text.json").write_text(json.dumps(rounded, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
