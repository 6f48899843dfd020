"""Frontal chest films drawn by program, with reports, boxes, questions and traces: the data set that needs no download.

``make`` draws one, ``examples`` asks about it, ``write`` makes a data set of them. A film is fixed by its seed and
index alone.
"""

from radrl.data.phantom.dataset import write
from radrl.data.phantom.film import Phantom, make, plan
from radrl.data.phantom.findings import NAMES
from radrl.data.phantom.questions import examples

__all__ = ["NAMES", "Phantom", "examples", "make", "plan", "write"]
