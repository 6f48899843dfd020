"""What the tests of data sets share."""

from __future__ import annotations

import pytest

from radrl.data.prepare import Settings, prepare
from radrl.data.questions import Asking


@pytest.fixture
def prepared():
    """``prepared(name, root, out, kinds, ...)`` prepares a data set in this process; returns its Summary."""

    def call(name, root, out, kinds, section="findings", uncertain="mention", **settings):
        return prepare(name, root, out, Settings(Asking(kinds, section, uncertain), **settings), workers=1)

    return call
