"""What the tests of data sets share."""

from __future__ import annotations

import pytest

from radrl.data.published.asking import Asking
from radrl.data.published.prepare import Settings, prepare


@pytest.fixture
def prepared():
    """``prepared(name, root, out, kinds, ...)`` prepares a data set in this process; returns its Summary."""

    def call(name, root, out, kinds, section="findings", uncertain="mention", **settings):
        return prepare(name, root, out, Settings(Asking(kinds, section, uncertain), **settings), workers=1)

    return call
