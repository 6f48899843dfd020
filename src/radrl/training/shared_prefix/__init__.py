"""GRPO with one forward pass over what the completions of a question share."""
