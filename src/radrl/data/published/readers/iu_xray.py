"""IU X-ray (Open-i): 3,955 reports in XML and their 7,470 images (Demner-Fushman et al., JAMIA 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from radrl.data.published.archives import archive_members, parse_xml
from radrl.data.published.readers._common import first_there, tidy
from radrl.data.published.record import Reader, Record, Skipped
from radrl.data.published.tables import Wrong
from radrl.errors import one_line

ARCHIVES = ("NLMCXR_reports.tgz", "NLMCXR_reports.tar.gz", "NLMCXR_reports.tar", "NLMCXR_reports")
SECTIONS = {"FINDINGS": "findings", "IMPRESSION": "impression", "INDICATION": "indication"}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a report, with all its images; the archive is read as it is, nothing is unpacked."""
    for name, content in archive_members(root, ARCHIVES, ".xml"):
        where = one_line(f"{ARCHIVES[0]}:{name}")
        if isinstance(content, Wrong):
            yield Skipped(where, content.why, bad=True, where=where)
            continue
        try:
            yield _record(root, parse_xml(content))
        except ValueError as error:
            yield Skipped(where, "not readable", bad=True, where=where, detail=str(error))


def _record(root: Path, page: Element) -> Record | Skipped:
    uid = page.find("uId")
    name = uid.get("id", "") if uid is not None else ""
    if not name.startswith("CXR"):
        raise ValueError("no uId of an Open-i report")
    report: dict[str, str] = {}
    for part in page.iterfind(".//AbstractText"):
        section, text = SECTIONS.get(part.get("Label", "")), tidy("".join(part.itertext()))
        if section and text:
            report[section] = text
    images = [image.get("id", "") for image in page.iterfind("parentImage")]
    if not images:
        return Skipped(name, "no image")
    folders = ("NLMCXR_png", "images", ".")
    paths = [first_there(root, [f"{folder}/{image}.png".removeprefix("./") for folder in folders]) for image in images]
    return Record(
        name,
        tuple(paths),
        study=name,
        report=report,
        lacks="the report lacks the section",
        meta={"mesh": [tidy(major.text or "") for major in page.iterfind("MeSH/major")]},
    )


READER = Reader(
    name="iu_xray",
    title="IU X-ray (Open-i): 3,955 reports, 7,470 images",
    kinds=("report",),
    layout="""\
NLMCXR_reports.tgz     ecgen-radiology/*.xml: uId, AbstractText (FINDINGS, IMPRESSION, INDICATION), parentImage, MeSH
NLMCXR_png/*.png       the unpacked NLMCXR_png.tgz (images/*.png is read too); not needed with --no-images""",
    access="https://openi.nlm.nih.gov/faq (download NLMCXR_reports.tgz, NLMCXR_png.tgz); CC BY-NC-ND 4.0, no "
    "registration. No patient is named: each report counts as a patient",
    read=read,
)
