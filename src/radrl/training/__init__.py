"""Training through TRL: SFT, cold start, GRPO."""
