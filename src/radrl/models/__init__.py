"""Models: loading and saving, the processor, the tiny model, Examples to tensors, drawing tokens."""
