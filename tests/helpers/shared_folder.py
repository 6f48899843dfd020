"""The folder of published data that is too large for the repository."""

from __future__ import annotations

import os
from pathlib import Path

SHARED = Path(os.environ.get("RADRL_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
