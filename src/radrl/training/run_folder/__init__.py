"""A stage's folder: checkpoints, model, record and samples, and going on from them."""
