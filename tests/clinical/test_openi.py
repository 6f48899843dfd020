"""The extractor against people's labels of real reports (Open-i). Needs the shared data, which is not in the repo."""

import csv
import os
import re
import tarfile
from html import unescape
from pathlib import Path

import pytest

from radrl.clinical.compare import merge
from radrl.clinical.extract import findings

DATA = Path(os.environ.get("RADRL_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
REPORTS = DATA / "txv_nlmcxr_reports" / "NLMCXR_reports.tgz"
GOLD = DATA / "openi_gold" / "openi_gold_14.csv"
# "Consolidation" is left out: its gold is the word alone, and ours holds airspace disease as well.
LABELS = {"Atelectasis": "atelectasis", "Cardiomegaly": "cardiomegaly", "Effusion": "pleural effusion", "Mass": "mass",
          "Nodule": "nodule", "Pneumonia": "pneumonia", "Pneumothorax": "pneumothorax", "Edema": "edema",
          "Emphysema": "emphysema", "Fibrosis": "fibrosis", "Pleural_Thickening": "pleural thickening"}  # fmt: skip
SECTION = re.compile(r'<AbstractText Label="(FINDINGS|IMPRESSION)">(.*?)</AbstractText>', re.DOTALL)


@pytest.mark.skipif(not (REPORTS.is_file() and GOLD.is_file()), reason=f"no Open-i reports and labels below {DATA}")
def test_micro_f1_on_real_reports():
    with GOLD.open(newline="") as file:
        gold = {row["filename"]: row for row in csv.DictReader(file)}
    right = wrong = missed = 0
    with tarfile.open(REPORTS) as archive:
        for member in archive:
            row = gold.get(f"CXR{Path(member.name).stem}")
            if row is None or not member.name.endswith(".xml"):
                continue
            xml = archive.extractfile(member).read().decode("utf-8")
            text = "\n\n".join(f"{label}: {unescape(body)}" for label, body in SECTION.findall(xml))
            seen = {f.name for f in merge(findings(text)) if f.presence == "present"}  # the gold leaves doubts out
            for label, name in LABELS.items():
                right += name in seen and row[label] == "1"
                wrong += name in seen and row[label] != "1"
                missed += name not in seen and row[label] == "1"
    assert right + missed > 900  # all reports were read
    assert 2 * right / (2 * right + wrong + missed) > 0.84
