"""Sections of reports as MIMIC-CXR, Open-i and CheXpert (Plus) write them."""

from hypothesis import given
from hypothesis import strategies as st

from radrl.clinical.extract import findings
from radrl.clinical.sections import sections, split
from radrl.clinical.vocabulary import load_vocabulary

MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PORTABLE AP)

 INDICATION:  ___ year old man with pneumothorax  // ? effusion

 TECHNIQUE:  Portable chest.

 COMPARISON:  ___

 FINDINGS:

 Heart: mildly enlarged.  There is a small left nodule.

 IMPRESSION:

 1. Cardiomegaly.
"""
CHEXPERT = """NARRATIVE:
RADIOGRAPHIC EXAMINATION OF THE CHEST: 8/17/2010

CLINICAL HISTORY: 45 years of age, Male, pneumonia.

COMPARISON: Effusion on Aug 16.

PROCEDURE COMMENTS: Single view of the chest.

FINDINGS:

Left PICC line. Mild edema.

IMPRESSION:

1.  STABLE EDEMA.

SUMMARY:2-ABNORMAL, PREVIOUSLY REPORTED
"""
OPENI = """COMPARISON: None.
INDICATION: Chest pain, rule out mass
FINDINGS: The lungs are clear. Old granuloma.
IMPRESSION: No acute disease."""


def test_mimic_style():
    found = split(MIMIC)
    assert found["indication"].startswith("___ year old man")
    assert (found["comparison"], found["impression"]) == ("___", "1. Cardiomegaly.")
    assert found["findings"].startswith("mildly enlarged") or "small left nodule" in found["findings"]
    assert {f.name for f in findings(MIMIC) if f.presence == "present"} == {"cardiomegaly", "nodule"}


def test_chexpert_style():
    found = split(CHEXPERT)
    assert found["history"] == "45 years of age, Male, pneumonia."
    assert found["technique"] == "Single view of the chest."
    assert found["impression"].startswith("1.  STABLE EDEMA.")
    assert {f.name for f in findings(CHEXPERT)} == {"central venous catheter", "edema"}


def test_openi_style():
    found = split(OPENI)
    assert list(found) == ["comparison", "indication", "findings", "impression"]
    assert found["indication"] == "Chest pain, rule out mass"
    assert {f.name for f in findings(OPENI) if f.presence == "present"} == {"granuloma"}


def test_headings_in_one_line_without_colon_and_none():
    assert split("FINDINGS: Nodule. IMPRESSION: Mass.") == {"findings": "Nodule.", "impression": "Mass."}
    assert split("HISTORY\nMass.\n\nIMPRESSION\nNodule.") == {"history": "Mass.", "impression": "Nodule."}
    assert split("Nodule: 4 mm.") == {"findings": "Nodule: 4 mm."}
    assert split("") == {}


@given(st.text(alphabet="ab :\n.FINDGSHTORY", max_size=80) | st.text(max_size=80))
def test_sections_cover_the_text_in_order(text):
    found = sections(text, load_vocabulary())
    at = 0
    for section in found:
        assert at == section.heading <= section.start <= section.end
        at = section.end
    assert at == len(text)
