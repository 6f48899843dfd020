"""Which option of a question an answer picks."""
