"""Scorers, one file a family. Importing this package registers all of them."""

from radrl.scoring import form, grounding, report, text, vqa

__all__ = ["form", "grounding", "report", "text", "vqa"]
