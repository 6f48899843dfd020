"""Readers of published data sets, one file each, and the phantom: films drawn by program."""
