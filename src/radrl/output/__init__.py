"""What an evaluation writes: tables, result files, the page."""
