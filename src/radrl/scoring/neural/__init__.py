"""Scorers that need a neural model. Importing this package registers them and loads nothing."""

from radrl.scoring.neural import packages, sentences

__all__ = ["packages", "sentences"]
