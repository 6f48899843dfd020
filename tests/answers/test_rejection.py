"""An answer on an empty film is right only where it says that nothing is there: the same in reward and metric."""

from __future__ import annotations

import csv
import re
import tarfile
from collections import Counter
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_folder import SHARED

from radrl.answers.parsing import parse
from radrl.answers.rejection import LONGEST, says_none
from radrl.evaluation.metrics.grounding import box_columns, count_empty
from radrl.example import Answer, Example
from radrl.prompt.messages import PromptStyle
from radrl.scoring import registry

EMPTY = Example(id="e", task="grounding", question="Where is the nodule?")
formats = st.sampled_from(["unit", "thousand", "pixel", "qwen2"])


def judged(text, box_format="unit", example=EMPTY) -> tuple[Answer, set[float]]:
    """Returns the Answer, and all that says whether it is right: rewards, and the metric of empty cases."""
    answer = parse(text, example, PromptStyle(box_format), size=(448, 336))
    values = {registry.get(name)([example], [answer])[0].value for name in ("soft_f1", "soft_f1_labels", "mean_iou")}
    kept = next(c for c in box_columns([example], [[answer]]) if c.metric.name == "empty_kept")
    counted = count_empty([example], [[answer]])["reference none, answer none"]
    return answer, values | {float(kept.values[0, 0]), float(counted)}


DENIALS = [
    "none", "None.", "no box", "No boxes.", "nothing", "No", "N/A", "not visible", "absent", "Nil.", "0 boxes", "null",
    "[]", "{}", "[[]]", "```json\n[]\n```", '{"boxes": []}', '{"bbox_2d": [], "label": "nodule"}', "{'nodule': None}",
    '{"nodule": "not present"}', '{"reasoning": "There may be a nodule.", "confidence": 0.9, "answer": "none"}',
    "**None**", "<answer>none</answer>", "<box></box>", "<|box_start|><|box_end|>",
    "There are no nodules.\n```json\n[]\n```", "No findings.", "unremarkable", "No nodule is seen.",
    "There is no pneumothorax.", "I can’t find any lesion on the image.", "I do not see a nodule on this film.",
    "I cannot identify a nodule in this chest X-ray.", "There isn't any nodule.", "The image contains no nodule.",
    "The image does not contain a nodule.",
    "A nodule is not seen.", "Nodule not seen.", "Nodule: none", "Pneumothorax is ruled out.", "0 nodules",
    "Negative for pneumothorax.", "The lungs are clear.", "Normal chest X-ray.", "The left lung shows no nodule.",
    "Neither lung shows a nodule.", "No, there is none.", "No there is no nodule",
    "No effusion, consolidation, or pneumothorax is seen.", "No focal consolidation, effusion, pneumothorax.",
    "The heart size is normal. No nodule.", "Where is the nodule? There is none.",
    "Based on this film, it appears that there are no lesions, as far as I can tell.",
    "I cannot draw a box because no nodule is visible.", "No nodule in this image, so no bounding box is given.",
    "No nodule larger than 5 mm.", "There's nothing that resembles a foreign object.",
    "A careful look reveals a clean bill of health with no visible abnormalities.", "I'm unable to find any nodule.",
]  # fmt: skip
OTHERS = [
    "", " \n", "nodule", "left lung", "yes", "There is a nodule in the left upper lobe.", "Located in the left lung.",
    "Possible nodule.", "1 nodule", "No doubt there is a nodule.", "No effusion but a nodule is seen.", "nodule: yes",
    "No effusion, nodule in the left upper lobe.", "No effusion and a nodule is seen.", "Nothing but a nodule.",
    "None except a mass in the right lung.", "Nodule: left upper lobe", "No longer small: the nodule has grown.",
    "The nodule is not in the right lung but in the left.", "No change in the nodule.", "Mass without effusion",
    "It cannot be excluded that there is a nodule.", "No nodule on the right; left lung nodule.", "Not normal.",
    "A nodule with no calcification.", "No, it is in the left lung.", "No. Left upper lobe.", "Nothing is normal.",
    "No problem! The nodule is here.", "No cardiomegaly with small effusions.", "no effusion\nnodule",
    "No abnormality, compatible with emphysema.", "I do not think there is no nodule.", "No other nodule.",
    "The nodule cannot be clearly seen.", "No lung is without nodules.", "Opacity does not look like pneumonia.",
    # coordinates beside a denial
    "none 0.1 0.2 0.3 0.4", "No mass: 10%, 20%, 30%, 40%", "no <loc0256><loc0256><loc0768><loc0768>", "No at 100, 200",
    # refusals, and what says nothing
    "I cannot help with that.", "I'm sorry, but I can't assist with that.", "I cannot see the image.",
    "No image was provided.", "As an AI, I cannot interpret X-rays.", "I don't know.", "The image is not available.",
    "...", "???", "asdf", "This is a chest X-ray.",
    '{"label": "nodule"}', '{"found": true, "boxes": []}', '["nodule"]', '{"nodule": "left upper lobe"}',
    '[{"label": "nodule"}]', '{"answer": "none", "boxes": [[100, 200, 300]',
    '[{"box": "left lung"}]', '{"answer": "There is a nodule in the left lung."}',
    "None. " * LONGEST,
]  # fmt: skip


@pytest.mark.parametrize("text", DENIALS)
def test_what_says_that_nothing_is_there(text):
    answer, values = judged(text)
    assert (answer.says_none, answer.well_formed, values) == (True, True, {1})


@pytest.mark.parametrize("text", OTHERS)
def test_what_does_not(text):
    answer, values = judged(text)
    assert (answer.says_none, answer.well_formed, values) == (False, False, {0})


def test_the_references_own_words_say_so_where_it_has_no_box():
    own = "Pas de nodule."
    assert judged("pas de nodule", example=EMPTY.model_copy(update={"reference": own}))[1] == {1}
    assert judged(own)[1] == {0}
    named = Example(id="n", task="grounding", question="?", boxes=({"xyxy": (0, 0, 1, 1)},), reference="nodule")
    assert not parse("nodule", named, PromptStyle()).says_none


# In whatever notation

corners = st.tuples(*(st.integers(1, 98) for _ in range(4)))
NOTATIONS = {
    "list": "{0} [0.{1:02}, 0.{2:02}, 0.{3:02}, 0.{4:02}]",
    "round": "{0} (0.{1:02}, 0.{2:02}, 0.{3:02}, 0.{4:02})",
    "corners": "{0} ({1},{2}),({3},{4})",
    "tokens": "<|object_ref_start|>{0}<|object_ref_end|><|box_start|>({1},{2}),({3},{4})<|box_end|>",
    "JSON": '```json\n[{{"bbox_2d": [{1}, {2}, {3}, {4}], "label": "{0}"}}]\n```',
    "Python": "[{{'label': '{0}', 'bbox': [0.{1:02}, 0.{2:02}, 0.{3:02}, 0.{4:02}]}}]",
    "JSON cut off": '[{{"label": "{0}", "bbox_2d": [{1}, {2}',
    "JSON of corners": '{{"label": "{0}", "x1": {1}, "y1": {2}, "x2": {3}, "y2": {4}}}',
    "JSON point": '{{"point_2d": [{1}, {2}], "label": "{0}"}}',
    "ref and box": "<ref>{0}</ref><box>{1}, {2}, {3}, {4}</box>",
    "location tokens": "<loc{1:04}><loc{2:04}><loc{3:04}><loc{4:04}> {0}",
    "binned tokens": "<obj>{0}<box><x{1}><y{2}><x{3}><y{4}></box></obj>",
    "attributes": '<box label="{0}" x1="{1}" y1="{2}" x2="{3}" y2="{4}"/>',
    "named": "{0} x1={1}, y1={2}, x2={3}, y2={4}",
    "width and height": "{0}: x={1}, y={2}, w={3}, h={4}",
    "spaces": "{0} 0.{1:02} 0.{2:02} 0.{3:02} 0.{4:02}",
    "YOLO": "0 0.{1:02} 0.{2:02} 0.{3:02} 0.{4:02}",
    "CSV": "{0},{1},{2},{3},{4}",
    "percent": "{0}: {1}%, {2}%, {3}%, {4}%",
    "polygon": "{0} [[{1}, {2}], [{3}, {2}], [{3}, {4}], [{1}, {4}]]",
    "range": "{0} at {1}-{3} across and {2}-{4} down",
    "table": "| finding | box |\n|---|---|\n| {0} | {1} {2} {3} {4} |",
    "full width": "{0}［0.{1:02}，0.{2:02}，0.{3:02}，0.{4:02}］",
    "decimal commas": "{0} [0,{1:02}; 0,{2:02}; 0,{3:02}; 0,{4:02}]",
    "words": "There is a {0} in the left lung.",
    "a word": "{0}",
    "boxed": "\\boxed{{{0} in the right lower zone}}",
    "of one thing and not another": "No effusion. {0} [0.{1:02}, 0.{2:02}, 0.{3:02}, 0.{4:02}]",
    "of one thing and not another, unread": "No effusion, {0} at 0.{1:02} 0.{2:02} 0.{3:02} 0.{4:02}",
}


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from(sorted(NOTATIONS)),
    st.sampled_from(["nodule", "pleural effusion", "rib fracture"]),
    corners,
    formats,
)
def test_no_claim_on_an_empty_film_is_right_in_any_notation(notation, name, corners, box_format):
    assert judged(NOTATIONS[notation].format(name, *corners), box_format)[1] == {0}


finding = st.sampled_from(
    [
        "nodule",
        "pneumothorax",
        "pleural effusion",
        "rib fracture",
        "lesion",
        "abnormality",
        "foreign object",
        "lung mass",
    ]
)
seen = st.sampled_from(["seen", "visible", "present", "identified", "detected", "evident", "found"])
there = st.sampled_from(["", " on this film", " in the image", " in the left lung", " in either lung", " on this view"])
denial = st.one_of(
    st.sampled_from(["none", "None.", "[]", "no box", "Nothing.", "```json\n[]\n```"]),
    st.builds("No {}{}{}.".format, finding, seen.map(" is {}".format) | st.just(""), there),
    st.builds(
        "There is no {}{}.".format, st.just("evidence of a ").flatmap(lambda a: finding.map(a.__add__)) | finding, there
    ),
    st.builds(
        "I {} any {}{}.".format, st.sampled_from(["do not see", "cannot find", "can't identify"]), finding, there
    ),
    st.builds("The {} is not {}{}.".format, finding, seen, there),
    st.builds("{}: {}".format, finding.map(str.capitalize), st.sampled_from(["none", "absent", "not seen", "no"])),
    st.builds("No {}, {} or {}{}.".format, finding, finding, finding, there),
)


@settings(deadline=None, max_examples=400)
@given(st.lists(denial, min_size=1, max_size=2).map("\n".join), formats)
def test_every_denial_is_right_on_an_empty_film(text, box_format):
    assert judged(text, box_format)[1] == {1}


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(exclude_categories=()), max_size=300) | st.lists(
    st.sampled_from(["no ", "not ", "9", "[", "{", '"', ", ", ". ", ": ", "nodule ", "is ", "\ud800", "\n", "[]"])
).map("".join))  # fmt: skip
def test_any_text_is_read(text):
    assert says_none(text, EMPTY) in (True, False)


DATA = SHARED
REPORTS = DATA / "txv_nlmcxr_reports" / "NLMCXR_reports.tgz"
GOLD = DATA / "openi_gold" / "openi_gold_14.csv"
SECTION = re.compile(r'<AbstractText Label="(FINDINGS|IMPRESSION)">(.*?)</AbstractText>', re.DOTALL)


@pytest.mark.skipif(not (REPORTS.is_file() and GOLD.is_file()), reason=f"no Open-i reports and labels below {DATA}")
def test_reports_that_people_wrote():
    """The findings of Open-i reports in which people coded a finding do not say that nothing is there (three do,
    whatever was coded); the impressions of those coded as normal nearly all do."""
    with GOLD.open(newline="") as file:
        gold = {row.pop("filename"): row for row in csv.DictReader(file)}
    counts = Counter()
    with tarfile.open(REPORTS) as archive:
        for member in archive:
            row = gold.get(f"CXR{Path(member.name).stem}")
            if row is None or not member.name.endswith(".xml"):
                continue
            normal = row["normal"] == "1"
            if not normal and "1" not in row.values():
                continue
            xml = archive.extractfile(member).read().decode("utf-8")
            for label, body in SECTION.findall(xml):
                counts[label, normal, says_none(unescape(body), EMPTY)] += 1
    assert counts["FINDINGS", False, True] <= 6  # 3 with the reader of findings that this was written with
    assert counts["FINDINGS", False, False] > 600
    assert counts["IMPRESSION", True, True] > 1000
    assert counts["IMPRESSION", True, False] < 60
