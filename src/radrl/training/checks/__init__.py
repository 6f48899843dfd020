"""What is checked before a run: the recipe against its data, its model and the packages that are there."""
