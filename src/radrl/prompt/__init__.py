"""How a question is put to a model: messages, presets of published models, instructions."""
