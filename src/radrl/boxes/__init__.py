"""Boxes: every notation that models write, overlap and assignment."""
