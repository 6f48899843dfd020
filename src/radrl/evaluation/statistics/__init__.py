"""Intervals, tests and comparisons of models, by unit of independence."""
