"""Scorers that need a neural model. Importing this package registers them and loads nothing."""

from radrl.scoring.neural import clinical, packages, radcliq, sentences

__all__ = ["clinical", "packages", "radcliq", "sentences"]
