"""``python -m radrl``, and ``accelerate launch -m radrl``."""

from radrl.cli import main

main()
