"""IU X-ray: reports in an archive, one without findings, one without images."""

import io
import tarfile

from sets import picture

PAGE = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><meta type="rr"/><uId id="CXR{n}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">None.</AbstractText>
<AbstractText Label="INDICATION">Positive TB test</AbstractText>
<AbstractText Label="FINDINGS">{findings}</AbstractText>
<AbstractText Label="IMPRESSION">Normal chest x-XXXX.</AbstractText>
</Abstract></Article></MedlineCitation><MeSH><major>normal</major></MeSH>{images}</eCitation>"""
IMAGE = '<parentImage id="CXR{n}_IM-000{n}-{view}"><figureId>F1</figureId></parentImage>'


def write(root):
    with tarfile.open(root / "NLMCXR_reports.tgz", "w:gz") as archive:
        for n, findings, views in ((1, "Clear &amp; dry.", (1001, 2001)), (2, "", (1001,)), (3, "Clear.", ())):
            images = "".join(IMAGE.format(n=n, view=view) for view in views)
            content = PAGE.format(n=n, findings=findings, images=images).encode()
            member = tarfile.TarInfo(f"ecgen-radiology/{n}.xml")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            for view in views:
                picture(root / f"NLMCXR_png/CXR{n}_IM-000{n}-{view}.png")
