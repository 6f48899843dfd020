"""What a model is held against: baselines without the image, the nearest training image, shortcuts."""
