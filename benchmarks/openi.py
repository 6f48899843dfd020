"""The reports of Open-i (shared data ``txv_nlmcxr_reports``), for benchmarks."""

from __future__ import annotations

import os
import re
import tarfile
from html import unescape
from pathlib import Path

_SECTION = re.compile(r'<AbstractText Label="(?:FINDINGS|IMPRESSION)">(.*?)</AbstractText>', re.DOTALL)


def reports() -> list[str]:
    """Returns findings and impression of each of the 3,955 reports, in the archive's order; 28 have neither."""
    data = Path(os.environ.get("RADRL_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    found = []
    with tarfile.open(data / "txv_nlmcxr_reports" / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            if member.name.endswith(".xml"):
                xml = archive.extractfile(member).read().decode("utf-8")
                found.append(" ".join(unescape(body).strip() for body in _SECTION.findall(xml)).strip())
    return found
