"""The extractor reads from the phantom's reports what the phantom says is in them."""

import numpy as np

from radrl.clinical.compare import merge
from radrl.clinical.extract import findings
from radrl.data import phantom
from radrl.example import Box, Finding


def undrawn(seed: int, index: int) -> phantom.Phantom:
    """A phantom with its findings and no film: drawing takes most of the time, and only the text is read."""
    patient, plans = phantom.plan(seed, index)
    film = np.zeros((1, 1), dtype=np.uint8)
    somewhere = (0.1, 0.1, 0.4, 0.4)
    seen = tuple(
        Finding(name=p.name, side=p.side, region=p.region, severity=p.severity, boxes=(Box(xyxy=somewhere),))
        for p in plans
    )
    anatomy = tuple(Box(xyxy=somewhere, label=label) for label in ("right lung", "left lung", "heart"))
    return phantom.Phantom(film, seen, anatomy, patient.sex, patient.age, patient.view)


def test_reports_say_what_the_phantom_asserts():
    read = 0
    for i in range(500):
        report = next(e for e in phantom.examples(undrawn(11, i), f"p{i}", "x.png", (11, i)) if e.task == "report")
        found = {f.name: f for f in merge(findings(report.reference))}
        for asserted in report.findings:
            seen = found.pop(asserted.name, None)
            assert seen is not None, (asserted, report.reference)
            assert seen.presence == asserted.presence, (asserted, report.reference)
            if asserted.presence != "absent":
                for part in ("side", "region", "severity"):
                    stated = getattr(asserted, part)
                    assert stated is None or getattr(seen, part) == stated, (part, asserted, seen, report.reference)
            read += 1
        if " haze " in report.reference:  # "haze consistent with edema" also says that there is an opacity
            found.pop("lung opacity", None)
        assert all(f.presence == "absent" for f in found.values()), (found, report.reference)
    assert read > 500
