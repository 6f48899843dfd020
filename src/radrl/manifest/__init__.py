"""Manifests: JSONL files of Examples, read lazily and in millions, split by patient."""
