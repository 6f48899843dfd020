"""radrl: train and judge medical vision-language models with clinical rewards."""

import os

__version__ = "0.1.0"

# No network call that the user did not ask for: TRL and huggingface_hub would report usage. Set here, before they load.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
