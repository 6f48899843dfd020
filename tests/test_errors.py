"""What exceptions say to a user."""

from __future__ import annotations

import pytest

from radrl.errors import in_words


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("bbox"), "no key 'bbox'"),
        (IndexError("list index out of range"), "fewer values than there should be"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ValueError("two\nlines"), "two lines"),
        (EOFError(), "it ends too early"),
        (AssertionError(), "it is not what it should be"),
        (MemoryError(), "memory did not suffice"),
    ],
)
def test_no_exception_is_named_by_its_type_alone(error, said):
    assert in_words(error) == said
