from __future__ import annotations

from pathlib import Path

import pytest
from neural_archives import write_tiny


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    """Tiny random archives of RadGraph, CheXbert and distilroberta, a folder each."""
    return write_tiny(tmp_path_factory.mktemp("weights"))
