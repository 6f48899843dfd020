"""One evaluation for all models: metrics from the scorers, intervals over patients, baselines, a comparison.

For a script: `read_predictions` and `read_header` read what an evaluation has kept, `score_cases` gives the metrics of
each case, `compare` the whole comparison; `bootstrap_mean` and `paired_difference` give intervals and p-values of one's
own figures, `holm` corrects them. A whole evaluation is `radrl.run_evaluation`.
"""

from typing import TYPE_CHECKING

from radrl.support.lazy import lazy_names

if TYPE_CHECKING:
    from radrl.evaluation.answers.header import Header, read_header
    from radrl.evaluation.answers.predictions import Prediction, read_predictions
    from radrl.evaluation.metrics.score_cases import score_cases
    from radrl.evaluation.statistics.comparison import compare
    from radrl.evaluation.statistics.intervals import bootstrap_mean, holm, paired_difference, patients_needed

__all__ = [
    "Header",
    "Prediction",
    "bootstrap_mean",
    "compare",
    "holm",
    "paired_difference",
    "patients_needed",
    "read_header",
    "read_predictions",
    "score_cases",
]

_INTERVALS = "radrl.evaluation.statistics.intervals"
__getattr__ = lazy_names(
    __name__,
    {
        "Header": "radrl.evaluation.answers.header",
        "Prediction": "radrl.evaluation.answers.predictions",
        "bootstrap_mean": _INTERVALS,
        "compare": "radrl.evaluation.statistics.comparison",
        "holm": _INTERVALS,
        "paired_difference": _INTERVALS,
        "patients_needed": _INTERVALS,
        "read_header": "radrl.evaluation.answers.header",
        "read_predictions": "radrl.evaluation.answers.predictions",
        "score_cases": "radrl.evaluation.metrics.score_cases",
    },
)
