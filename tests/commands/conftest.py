"""What the tests of commands share."""

from __future__ import annotations

import sys

import pytest

from radrl.commands import main


@pytest.fixture
def radrl(monkeypatch, capfd):
    """``radrl("sft", "r.yaml")`` runs the command; returns exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["radrl", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        return ended.value.code or 0, *capfd.readouterr()

    return run
