"""The audit of a GRPO run: do rewards rise without the clinical metrics?"""
