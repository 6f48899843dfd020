"""What models write, taken apart: thinking, what wraps an answer, its wording, and the options it names.

`radrl.answers.parse` puts these together; nothing else reads a completion.
"""
