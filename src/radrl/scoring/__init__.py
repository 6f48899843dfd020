"""Scorers, one file a family. Importing this package registers all of them."""

from radrl.scoring import form, grounding, report, vqa

__all__ = ["form", "grounding", "report", "vqa"]
