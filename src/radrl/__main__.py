"""``python -m radrl``, and ``accelerate launch -m radrl``."""

from radrl.commands.main import main

main()
