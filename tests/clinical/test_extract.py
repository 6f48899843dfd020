"""Sentences to findings. The wanted findings are written ``name presence side region severity``, - for none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.clinical import extract, vocabulary
from radrl.clinical.compare import compare
from radrl.clinical.extract import findings

SENTENCES = [
    # naming, size and place
    ("Small left pleural effusion.", ["pleural effusion present left - mild"]),
    ("A large effusion is seen on the right.", ["pleural effusion present right - severe"]),
    ("Right pleural effusion, small. Nodule, left apex.",
     ["pleural effusion present right - mild", "nodule present left upper -"]),
    ("Bilateral effusions, left greater than right.", ["pleural effusion present bilateral - -"]),
    ("Left and right pleural effusions.", ["pleural effusion present bilateral - -"]),
    ("RUL consolidation and LLL atelectasis.",
     ["consolidation present right upper -", "atelectasis present left lower -"]),
    ("In the left lower lobe, there is a 1.2 cm nodule.", ["nodule present left lower -"]),
    ("Small effusion on the left and right basilar atelectasis.",
     ["pleural effusion present left - mild", "atelectasis present right lower -"]),
    ("Small bilateral pleural effusions and bibasilar atelectasis.",
     ["pleural effusion present bilateral - mild", "atelectasis present bilateral lower -"]),
    ("A nodule is seen in the right upper lobe measuring 2.5 cm.", ["nodule present right upper -"]),
    ("The left base shows atelectasis.", ["atelectasis present left lower -"]),
    ("Mild-to-moderate pulmonary oedema. Hiatus hernia.",
     ["edema present - - moderate", "hiatal hernia present - - -"]),
    ("Patchy right air-space disease.", ["consolidation present right - -"]),
    ("Right upper lobe mass and a healed left rib fracture.",
     ["mass present right upper -", "fracture present left - -"]),
    ("Calcified granuloma in the left mid lung.", ["granuloma present left middle -"]),
    ("Severe emphysema with biapical pleural thickening.",
     ["emphysema present - - severe", "pleural thickening present bilateral upper -"]),
    # devices
    ("ET tube 4.5 cm above the carina. Right IJ catheter tip in the left atrium.",
     ["endotracheal tube present - - -", "central venous catheter present right - -"]),
    ("Left chest wall pacemaker with leads in the right atrium.", ["pacemaker present left - -"]),
    ("Port-a-Cath on the right. Chest tube on the left.",
     ["central venous catheter present right - -", "chest tube present left - -"]),
    ("The portable film: trachea is midline.", []),
    # what is said of a structure
    ("The heart is mildly enlarged.", ["cardiomegaly present - - mild"]),
    ("Enlarged cardiac silhouette.", ["cardiomegaly present - - -"]),
    ("Heart size: moderately enlarged.", ["cardiomegaly present - - moderate"]),
    ("Heart size and mediastinal contours are within normal limits.",
     ["cardiomegaly absent - - -", "widened mediastinum absent - - -"]),
    ("The heart is not enlarged.", ["cardiomegaly absent - - -"]),
    ("Heart size is stable and the mediastinum is normal.", ["widened mediastinum absent - - -"]),
    ("The heart is enlarged with normal pulmonary vasculature.",
     ["cardiomegaly present - - -", "vascular congestion absent - - -"]),
    ("Borderline cardiomegaly.", ["cardiomegaly uncertain - - -"]),
    ("There is blunting of the left costophrenic angle.", ["pleural effusion present left - -"]),
    ("The costophrenic angles are sharp.", ["pleural effusion absent - - -"]),
    ("The right lung is clear.", []),
    # denied
    ("No effusion, pneumothorax or consolidation.",
     ["pleural effusion absent - - -", "pneumothorax absent - - -", "consolidation absent - - -"]),
    ("No pneumothorax, mild cardiomegaly.", ["pneumothorax absent - - -", "cardiomegaly present - - mild"]),
    ("No pneumothorax is seen but there is a right effusion.",
     ["pneumothorax absent - - -", "pleural effusion present right - -"]),
    ("No evidence of pneumonia, and the heart is enlarged.",
     ["pneumonia absent - - -", "cardiomegaly present - - -"]),
    ("No opacity to suggest pneumonia.", ["lung opacity absent - - -", "pneumonia absent - - -"]),
    ("Large left pneumothorax without effusion.",
     ["pneumothorax present left - severe", "pleural effusion absent - - -"]),
    ("The left effusion has resolved.", ["pleural effusion absent left - -"]),
    ("Effusion and pneumothorax are not seen.", ["pleural effusion absent - - -", "pneumothorax absent - - -"]),
    ("Cardiomegaly is stable and no effusion is seen.",
     ["cardiomegaly present - - -", "pleural effusion absent - - -"]),
    ("The lungs are grossly clear of airspace disease or pneumothorax.",
     ["consolidation absent - - -", "pneumothorax absent - - -"]),
    ("Interval removal of the endotracheal tube.", ["endotracheal tube absent - - -"]),
    # looks denied
    ("Non-calcified nodule in the lingula.", ["nodule present left - -"]),
    ("Impression: right pleural effusion and edema.", ["pleural effusion present right - -", "edema present - - -"]),
    ("No change in the small left effusion.", ["pleural effusion present left - mild"]),
    ("Right effusion, not significantly changed.", ["pleural effusion present right - -"]),
    # doubted
    ("Pneumonia cannot be excluded.", ["pneumonia uncertain - - -"]),
    ("Cannot exclude a small right effusion.", ["pleural effusion uncertain right - mild"]),
    ("Left basilar opacity may represent atelectasis.",
     ["lung opacity present left lower -", "atelectasis uncertain left lower -"]),
    ("Atelectasis versus pneumonia in the right lower lobe.",
     ["atelectasis uncertain - - -", "pneumonia uncertain right lower -"]),
    # not of this film
    ("INDICATION: Rule out pneumonia.\nFINDINGS: Left effusion.", ["pleural effusion present left - -"]),
    ("HISTORY: pneumothorax.\n\nLeft effusion.", ["pleural effusion present left - -"]),
    ("HISTORY: pneumothorax.\n\nLeft effusion.\n\nIMPRESSION: Nodule.",
     ["pleural effusion present left - -", "nodule present - - -"]),
    ("If there is concern for pneumonia, recommend CT.", []),
    ("Inguinal hernia. Knee joint effusion. Left atrium.", []),
    # what is not the lung's or the pleura's
    ("Pericardial effusion. Subcutaneous emphysema.",
     ["pericardial effusion present - - -", "subcutaneous emphysema present - - -"]),
    ("Calcified, tortuous aorta. Degenerative changes of the spine.",
     ["tortuous aorta present - - -", "calcified aorta present - - -", "degenerative spine present - - -"]),
    ("The aorta is tortuous and calcified.", ["tortuous aorta present - - -", "calcified aorta present - - -"]),
    ("Hyperexpanded lungs. Elevation of the right hemidiaphragm.",
     ["hyperinflation present - - -", "elevated diaphragm present right - -"]),
    # denied in part
    ("Small right effusion. No large effusion.", ["pleural effusion present right - mild"]),
    ("Nodule in the right apex. No other nodules.", ["nodule present right upper -"]),
    # misspellings and marks of de-identification
    ("Cardiomegally. Penumothorax on the left. No consolidaton.",
     ["cardiomegaly present - - -", "pneumothorax present left - -", "consolidation absent - - -"]),
    ("Medication injection.", []),
    ("XXXX opacities in the ___ left base, XXXX representing atelectasis.",
     ["lung opacity present left lower -", "atelectasis present left lower -"]),
]  # fmt: skip


def said(text: str) -> list[str]:
    return [" ".join(str(x or "-") for x in (f.name, f.presence, f.side, f.region, f.severity)) for f in findings(text)]


@pytest.mark.parametrize(("sentence", "wanted"), SENTENCES)
def test_sentence(sentence, wanted):
    assert said(sentence) == wanted


CHANGES = [
    ("Interval increase in size of the small right effusion.", ["pleural effusion worse"]),
    ("The right effusion has slightly increased and the left effusion is unchanged.",
     ["pleural effusion worse", "pleural effusion stable"]),
    ("Large hilar mass is again seen, slightly increased in size.", ["mass worse"]),
    ("Small left effusion, which has decreased since the prior study.", ["pleural effusion improved"]),
    ("New left base opacity, compatible with pneumonia.", ["lung opacity new", "pneumonia new"]),
    ("No new consolidation.", ["consolidation -"]),
    ("No significant interval change in the left effusion.", ["pleural effusion stable"]),
    ("Cardiomegaly, not significantly changed. Improving edema.", ["cardiomegaly stable", "edema improved"]),
    ("The left pneumothorax has resolved. Interval removal of the chest tube.",
     ["pneumothorax resolved", "chest tube resolved"]),
    ("Near complete resolution of the edema.", ["edema improved"]),
    ("Increased interstitial markings. The heart is enlarged.", ["interstitial markings -", "cardiomegaly -"]),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "wanted"), CHANGES)
def test_change_against_an_earlier_film(sentence, wanted):
    found = findings(sentence)
    assert [f"{f.name} {f.change or '-'}" for f in found] == wanted
    assert all((f.presence == "absent") == (f.change == "resolved") for f in found if f.change)


@pytest.mark.parametrize(
    ("sentence", "wanted"),
    [("ET tube tip is 3 cm above the carina; NG tube in the stomach.",
      {"endotracheal tube": "above carina", "enteric tube": "stomach"}),
     ("Right chest port with tip at the cavoatrial junction.", {"central venous catheter": "cavoatrial junction"}),
     ("Left PICC line tip in the mid SVC.", {"central venous catheter": "superior vena cava"}),
     ("Effusion above the carina.", {"pleural effusion": None})],
)  # fmt: skip
def test_position_of_devices(sentence, wanted):
    assert {f.name: f.position for f in findings(sentence)} == wanted


def test_degrees_of_doubt_are_kept_apart_for_labels():
    text = (
        "Atelectasis versus scarring. Likely pneumonia. Borderline cardiomegaly. Possible nodule. Edema may be present."
    )
    said = {s.concept: s.presence for s in extract.statements(text)}
    assert [c for c, p in said.items() if p == "probable"] == ["atelectasis", "scarring", "pneumonia", "cardiomegaly"]
    assert said["nodule"] == said["edema"] == "uncertain"
    assert {f.presence for f in findings(text)} == {"uncertain"}


def test_clear_lungs_rule_out_unless_the_report_names_the_finding():
    clear = {f.name: f.presence for f in findings("Lungs are clear.")}
    assert {"consolidation", "nodule", "mass", "edema", "atelectasis", "lung opacity"} <= set(clear)
    assert set(clear.values()) == {"absent"}
    nodule = [f.presence for f in findings("Right apical nodule. The lungs are clear.") if f.name == "nodule"]
    assert nodule == ["present"]


def test_spans_point_into_the_original_text():
    text = "İ — ﬁlm of today. The cardiac silhouette is ENLARGED."  # lower() would lengthen the first letter
    (finding,) = findings(text)
    assert text[slice(*finding.span)] == "cardiac silhouette is ENLARGED"


def test_a_sentence_said_again_has_its_own_spans_and_case():
    text = "Small left effusion.  small left effusion. Small Left EFFUSION"
    found = findings(text)
    assert [text[slice(*f.span)] for f in found] == ["effusion", "effusion", "EFFUSION"]
    assert len({f.span for f in found}) == 3
    assert findings(text) == found


def test_phrases_of_the_vocabulary_are_not_swallowed_by_others():
    """Each phrase alone names its finding; only doubting words in it ("borderline") may change the presence."""
    for name in vocabulary.load_vocabulary().names:
        assert {f.name for f in findings(name)} == {name}


@pytest.mark.parametrize(
    "text",
    ["", "NaN", "[[[" * 30_000, "\n \n" * 30_000, "no " * 30_000, "left and " * 12_000, "heart " * 20_000,
     "or " * 30_000, "A-b c/" * 16_000 + ":", "\ud800 effusion \u200b" * 5_000,
     "heart and effusion, " * 5_000, "1.1" * 30_000, "are not seen and effusion " * 4_000, "consolidaton " * 8_000,
     "left effusion. no right effusion. " * 3_000, "FINDINGS\n" * 11_000],
)  # fmt: skip
def test_hostile_text_of_100_kb_is_read(text):
    assert all(0 <= f.span[0] < f.span[1] <= len(text) for f in findings(text))


def _words() -> list[str]:
    words, stack = set(), [vocabulary.load_vocabulary().tree]
    while stack:
        for word, node in stack.pop().items():
            if word:
                words.add(word)
                stack.append(node)
    return [*sorted(words), ",", ".", ";", ":", "\n", "\n\n", "INDICATION:", "\u0130", "\ud800"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(_words()), max_size=60).map(" ".join) | st.text(max_size=200))
def test_any_text_gives_findings_inside_it(text):
    found = findings(text)
    assert all(text[f.span[0] : f.span[1]].strip() for f in found)
    assert compare(found, found).f1 == 1
