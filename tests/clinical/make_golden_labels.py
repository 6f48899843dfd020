"""Writes golden_labels.json: the CheXpert-14 labels of 500 Open-i reports, so that no change of the reader is silent.

    python tests/clinical/make_golden_labels.py

The reports themselves are in the shared data and not in the repository. Look at what changes before you write it anew.
"""

import json
import os
import re
import tarfile
from html import unescape
from pathlib import Path

from radrl.clinical.label import labels

DATA = Path(os.environ.get("RADRL_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
REPORTS = DATA / "txv_nlmcxr_reports" / "NLMCXR_reports.tgz"
GOLDEN = Path(__file__).parent / "golden_labels.json"
SECTION = re.compile(r'<AbstractText Label="(FINDINGS|IMPRESSION)">(.*?)</AbstractText>', re.DOTALL)
MARKS = {None: ".", 0: "0", 1: "1", -1: "?"}
EVERY, COUNT = 7, 500  # every 7th report in the order of their numbers


def marks() -> dict[str, str]:
    """Returns for each report its number and one mark a label, in the order of the label set."""
    found: dict[int, str] = {}
    with tarfile.open(REPORTS) as archive:
        for member in archive:
            number = Path(member.name).stem
            if member.name.endswith(".xml") and int(number) % EVERY == 0:
                xml = archive.extractfile(member).read().decode("utf-8")
                text = "\n\n".join(f"{label}: {unescape(body)}" for label, body in SECTION.findall(xml))
                found[int(number)] = "".join(MARKS[value] for value in labels(text, "chexpert14").values())
    return {str(number): found[number] for number in sorted(found)[:COUNT]}


if __name__ == "__main__":
    lines = ",\n".join(f"{json.dumps(number)}: {json.dumps(row)}" for number, row in marks().items())
    GOLDEN.write_text("{\n" + lines + "\n}\n")
