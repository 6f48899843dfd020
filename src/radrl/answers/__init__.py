"""What a completion says: thinking apart, the answer unwrapped, then boxes, option, labels, denial.

For a script: `parse` reads a completion.
"""

from typing import TYPE_CHECKING

from radrl.support.lazy import lazy_names

if TYPE_CHECKING:
    from radrl.answers.parsing import parse

__all__ = ["parse"]

__getattr__ = lazy_names(__name__, {"parse": "radrl.answers.parsing"})
