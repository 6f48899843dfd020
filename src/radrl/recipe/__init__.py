"""The recipe: its schema, strict YAML, and the settings of TRL and PEFT that it holds."""
