"""Data sets: readers of published ones, the drawn one, and what every command trains on."""
