"""Pairs of texts for scorers of words: 520 of reports, drawn by a frozen generator, and odd ones."""

from __future__ import annotations

import json
import random
from pathlib import Path

SENTENCES = """
The heart is normal in size.
Heart size is mildly enlarged, unchanged.
The cardiomediastinal silhouette is within normal limits.
The lungs are clear.
Lungs are hyperinflated, consistent with COPD.
There is no focal consolidation.
No pleural effusion or pneumothorax is seen.
Small left-sided pleural effusion.
Small bilateral pleural effusions, left greater than right.
There is a 1.5 cm nodule in the right upper lobe (series 2).
Nodular opacity measuring 12 x 9 mm; CT is recommended.
No acute osseous abnormality.
Degenerative changes of the thoracic spine.
Old healed fractures of the left 5th-7th ribs.
The ET tube terminates 4.2 cm above the carina.
Right PICC tip is in the mid SVC.
Interval removal of the chest tube.
1. Mild pulmonary vascular congestion.
2. Bibasilar atelectasis.
3. Stable cardiomegaly.
FINDINGS: PA and lateral views.
IMPRESSION: No acute cardiopulmonary process.
Comparison is made to the prior of ___.
Dr. ___ was notified at 10:45 AM.
Findings may represent aspiration vs. pneumonia!
Is this new?
"Clear" lungs & no mass.
Opacities are increasing/worsening.
"""
ODD = [
    ("No mass.", "no mass ."),
    ("effusion", "effusion"),
    ("effusion", "no effusion"),
    ("a", "b"),
    ("...", "No effusion."),
    (". . .", ". . . ."),
    ("1,000.5 ml, 3.cm", "1,000.5 ml , 3 .cm"),
    ("right-sided 3-lobed", "right - sided 3 -lobed"),
    ("caf\u00e9 na\u00efve Stra\u00dfe", "CAF\u00c9 NA\u00cfVE STRASSE"),
    ("\u809c\u6c14\u80bf\u3002\u65e0\u6c14\u80f8", "\u65e0\u6c14\u80f8\u3002"),
    ("heart\u00a0size\u2003normal", "heart size normal"),
    ("line one\nline two\r\n\ttabbed", "line one line two tabbed"),
    ("a-\nb <skipped> &amp; &quot;c&quot; &lt;d&gt;", 'a b & "c" <d>'),
    ("____ and ________ ... ..... 1. 2. 3. 4. 5. 6.", "_ and _ . 1. Effusion. 2. Mass. 3. None."),
    ("[0.1, 0.2] {x} (y) <z> a/b c\\d 'e' \"f\" 50% +/- #7 $8 ^9 ~ ` | @", "[0.1, 0.2] x y z"),
    ("running runs ran easily fairly studies studying", "run running study easy fair"),
    ("no " * 300 + "effusion", "no effusion"),
    ("The lungs are clear. " * 60, "The lungs are clear. No effusion. " * 40),
    ("\u200beffusion\u200b", "effusion"),
    ("EFFUSION. MASS.", "effusion. mass."),
]
REPORTS = 520
PUBLISHED = {  # of 382 IU X-ray films each, below RADRL_TEST_DATA/iu_metric_runs
    "manual": ("manual_template_target_b4rouge", "result/test_result.json", "result/test_refs.json"),
    "rag": ("qwen_dino_sft_rag_top20_copy_oracle_cw1_lr2e5_logp_top20", "test_preds.json", "test_refs.json"),
}


def published(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Returns (answer, reference) of two published sets of predictions; their texts are not ours to copy."""
    found = {}
    for name, (run, *files) in PUBLISHED.items():
        answers, references = (json.loads((folder / run / file).read_text()) for file in files)
        found[name] = [(answers[key][0], references[key][0]) for key in answers]
    return found


def pairs() -> list[tuple[str, str]]:
    """Returns (answer, reference) of all of them, the same on every machine. None is empty."""
    sentences = [one for one in SENTENCES.splitlines() if one]
    draw = random.Random(14)
    found = []
    for _ in range(REPORTS):
        wanted = [sentences[int(draw.random() * len(sentences))] for _ in range(1 + int(draw.random() * 8))]
        given = [one for one in wanted if draw.random() < 0.6]  # some of them, in order
        given += [sentences[int(draw.random() * len(sentences))] for _ in range(int(draw.random() * 4))]
        said = (" " if draw.random() < 0.8 else "  ").join(given or wanted[:1])
        words = said.split(" ")
        if draw.random() < 0.3:  # some words gone
            words = [word for word in words if draw.random() < 0.85] or words
        said = " ".join(words)
        reference = ("\n" if draw.random() < 0.1 else " ").join(wanted)
        case = draw.random()
        if case < 0.2:
            said, reference = said.lower(), reference.lower()
        elif case < 0.3:
            said = said.upper()
        found.append((said, reference))
    return found + ODD
