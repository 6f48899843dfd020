"""Scorers that need a neural model. Importing this package registers them and loads nothing."""

from radrl.scoring.neural import chexbert_f1, clinical, packages, radcliq, radvlm, sentences

__all__ = ["chexbert_f1", "clinical", "packages", "radcliq", "radvlm", "sentences"]
