"""Evaluation while a stage trains, and the checkpoint that it chooses."""
