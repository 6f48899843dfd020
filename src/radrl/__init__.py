"""radrl: train and judge medical vision-language models with clinical rewards."""

__version__ = "0.1.0"
