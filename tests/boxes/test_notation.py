"""Boxes as text: what models write is read, nothing is dropped for free, and what is written comes back."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.answers.parsing import parse
from radrl.boxes.misfit import misfit
from radrl.boxes.notation import OVERHANG, boxes_text, read_boxes, to_unit
from radrl.errors import UserError
from radrl.example import Box, Example
from radrl.prompt.messages import PromptStyle

SIZE = (448, 336)
FORMATS = ("unit", "thousand", "pixel", "qwen2")
A, B = (0.1, 0.2, 0.3, 0.4), (0.5, 0.2, 0.8, 0.4)
WHERE = Example(id="b", task="grounding", question="Where is the heart?")


def read(text, box_format="unit"):
    """Returns the boxes of a text, and that all else of it is in order."""
    found = read_boxes(text, box_format, SIZE)
    assert (found.wrong, found.clamped, found.whole) == ((), 0, True)
    return [box.xyxy for box in found.boxes], [box.label for box in found.boxes]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("heart [0.1, 0.2, 0.3, 0.4]", ["heart"]),
        ("heart: [.1, .20, 0.3000000, 0.40]", ["heart"]),
        ("heart (0.1, 0.2, 0.3, 0.4)", ["heart"]),
        ("heart［0.1，0.2，0.3，0.4］", ["heart"]),
        ("heart [0.1\n,0.2,\n0.3, 0.4 ]", ["heart"]),
        ("heart [0.1 0.2 0.3 0.4]", ["heart"]),
        ("nodule (left) [0.1, 0.2, 0.3, 0.4]", ["nodule (left)"]),
        ("**Left lung**: [0.1, 0.2, 0.3, 0.4]", ["Left lung"]),
        ("[[0.1, 0.2, 0.3, 0.4], [0.5, 0.2, 0.8, 0.4]]", ["", ""]),
        ("[0.1, 0.2, 0.3, 0.4] left lung\n[0.5, 0.2, 0.8, 0.4] right lung", ["left lung", "right lung"]),
        ("1. Left lung:\n[0.1, 0.2, 0.3, 0.4]\n2. Right lung:\n[0.5, 0.2, 0.8, 0.4]", ["Left lung", "Right lung"]),
        ("- left lung: [0.1, 0.2, 0.3, 0.4]\n- right lung: [0.5, 0.2, 0.8, 0.4]", ["left lung", "right lung"]),
        ("Written as [x1, y1, x2, y2], the heart is [0.1, 0.2, 0.3, 0.4].", ["heart"]),
        ("(0.1, 0.2), (0.3, 0.4)", [""]),
        ("nodule from (0.1, 0.2) to (0.3, 0.4)", ["nodule from"]),
        ("<box>0.1, 0.2, 0.3, 0.4</box>", [""]),
        ("<ref>heart</ref><box>[[0.1, 0.2, 0.3, 0.4]]</box>", ["heart"]),
        ("\\boxed{[0.1, 0.2, 0.3, 0.4]}", [""]),
        # sentences in RadVLM's manner
        ("The left lung is located at the coordinates [0.1, 0.2, 0.3, 0.4] on the image.", ["left lung"]),
        ("You'll find the heart at [0.1, 0.2, 0.3, 0.4] in the X-ray.", ["heart"]),
        ("The heart's  location is at [0.1, 0.2, 0.3, 0.4].", ["heart"]),
        ("In the X-ray, the area occupied by the heart is at [0.1, 0.2, 0.3, 0.4].", ["heart"]),
        ("Regarding the heart, it is located at [0.1, 0.2, 0.3, 0.4].", ["heart"]),
        ("You'll find it at [0.1, 0.2, 0.3, 0.4] in the CXR.", [""]),
        ("The bounding box for this observation is [0.1, 0.2, 0.3, 0.4].", [""]),
        ("Foreign objects are visible at: [0.1, 0.2, 0.3, 0.4] and [0.5, 0.2, 0.8, 0.4].", ["Foreign objects"] * 2),
        ("I can find a nodule/mass located at the coordinates [0.1, 0.2, 0.3, 0.4] and [0.5, 0.2, 0.8, 0.4]; "
         "an ild located at the coordinates [0.1, 0.2, 0.3, 0.4].", ["nodule/mass", "nodule/mass", "ild"]),
        ("The left lung is at [0.1, 0.2, 0.3, 0.4], and the heart is located at [0.5, 0.2, 0.8, 0.4] in the film.",
         ["left lung", "heart"]),
    ],
)  # fmt: skip
def test_shares_of_the_image_in_whatever_notation(text, labels):
    boxes, found = read(text)
    assert found == labels
    assert boxes == [A, B, A][: len(labels)]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('```json\n[\n\t{"bbox_2d": [100, 200, 300, 400], "label": "heart"}\n]\n```', ["heart"]),
        ('{"label": "heart", "bbox_2d": [100, 200, 300, 400]}', ["heart"]),
        ("[{'bbox_2d': [100, 200, 300, 400], 'label': 'the heart\\'s'}]", ["the heart's"]),
        ('{"bbox": ["100", "200", "300", "400"], "name": "say \\"hi\\""}', ['say "hi"']),
        ('{"coordinates": [100.0, 200.0, 300.0, 400.0], "sub_label": "big", "label": "heart"}', ["heart"]),
        ('{"boxes": [[100, 200, 300, 400], [500, 200, 800, 400]], "label": "lung"}', ["lung", "lung"]),
        ('{"boxes": [{"box": [100, 200, 300, 400], "label": "a"}, {"box_2d": [500, 200, 800, 400], "label": "b"}]}',
         ["a", "b"]),
        ('{"left lung": [100, 200, 300, 400], "right lung": [[500, 200, 800, 400]]}', ["left lung", "right lung"]),
        ('{"heart": {"bbox": [100, 200, 300, 400]}, "lung": {"bbox": [500, 200, 800, 400]}}', ["heart", "lung"]),
        ('{"bbox": [[100, 200], [300, 400]], "label": "heart"}', ["heart"]),
        ("bbox_2d: [100, 200, 300, 400]", [""]),
        ("The heart is at [100, 200, 300, 400].", ["heart"]),
        ("<|object_ref_start|>heart<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|>", ["heart"]),
        ("<|object_ref_start|>lung<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|><|box_start|>(500,200),"
         "(800,400)<|box_end|>", ["lung", "lung"]),
        ("left lung(100,200),(300,400)right lung(500,200),(800,400)", ["left lung", "right lung"]),
        ("lung(100,200),(300,400)(500,200),(800,400)", ["lung", "lung"]),
        # a list that breaks off gives its whole boxes
        ('[{"bbox_2d": [100, 200, 300, 400], "label": "heart"}, {"bbox_2d": [500, 200, 800, 400], "lab', ["heart", ""]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("box_format", ["thousand", "qwen2"])
def test_thousandths_in_whatever_notation(text, labels, box_format):
    boxes, found = read(text, box_format)
    assert found == labels
    assert boxes == [A, B][: len(labels)]


def test_pixels_are_those_of_the_resized_image():
    assert read('{"bbox_2d": [112, 84, 224, 336], "label": "heart"}', "pixel") == ([(0.25, 0.25, 0.5, 1)], ["heart"])
    assert to_unit((112, 84, 224, 336), "pixel", SIZE) == (0.25, 0.25, 0.5, 1)
    for work in (lambda: read_boxes("none", "pixel"), lambda: boxes_text((Box(xyxy=A),), "pixel")):
        with pytest.raises(UserError, match="size of the resized image"):
            work()


@pytest.mark.parametrize(
    ("box_format", "bad"),
    [
        *(("unit", bad) for bad in (
            "[0.1, 0.2, 1.02, 0.4]", "[-0.02, 0.2, 0.3, 0.4]", "[0.3, 0.2, 0.1, 0.4]", "[0.1, 0.2, 0.1, 0.4]",
            "[1, 0.2, 1.01, 0.4]", "[0.1, 0.2, 0.3]", "[0.1, 0.2, 0.3, 0.4, 0.9]", "[1e-1, 0.2, 0.3, 0.4]",
            "[100, 200, 300, 400]", "[0.1, 0.2, 0.3, 99999999999999999999]", "[0, 0, 0, 0]", "(0.3, 0.4)",
            "[x1=0.1, y1=0.2, x2=0.3, y2=0.4]", '{"x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 0.4}',
            "[1.2.3, 0.2, 0.3, 0.4]", "[0.1, 0.2], [0.3, 0.2], [0.3, 0.4], [0.1, 0.4]", "[0,1, 0,2, 0,3, 0,4]",
        )),
        *(("thousand", bad) for bad in ("[100, 200, 1020, 400]", "[0.1, 0.2, 0.3, 0.4]", "[100, 400, 300, 200]")),
        ("qwen2", "(0.1,0.2),(0.3,0.4)"),
        ("pixel", "[100, 200, 453, 300]"),
        ("pixel", "[0.1, 0.2, 0.3, 0.4]"),
    ],
)  # fmt: skip
def test_a_box_that_is_none_counts_in_its_place_and_is_not_dropped(box_format, bad):
    good = {"unit": A, "pixel": (112, 84, 224, 252)}.get(box_format, (100, 200, 300, 400))
    answer = parse(f"lung [{', '.join(map(str, good))}], nodule {bad}", WHERE, PromptStyle(box_format), size=SIZE)
    assert len(answer.boxes) == 1
    assert [place for place, _ in answer.wrong] == [1]
    assert answer.wrong[0].label == "nodule"
    assert not answer.well_formed


def test_a_box_that_the_text_breaks_off_is_neither_a_box_nor_wrong():
    for text in ("heart [0.1, 0.2, 0.3, 0.4], lung [0.1, 0.2", "heart (0.1, 0.2), (0.3, 0.4), (0.5, 0.2), (0.7"):
        answer = parse(text, WHERE, PromptStyle())
        assert not answer.well_formed
        assert len(answer.boxes) + len(answer.wrong) == 1
    assert read_boxes("(0.1, 0.2), (0.3", "unit") == ((), (), 0, False)


@pytest.mark.parametrize("box_format", FORMATS)
def test_a_hundredth_outside_is_cut_at_the_edge_and_counted(box_format):
    wide, high = {"unit": (1, 1), "pixel": SIZE}.get(box_format, (1000, 1000))
    text = f"a [{-OVERHANG * wide}, {0.5 * high}, {(1 + OVERHANG) * wide}, {high}], b [{0.1 * wide}, 0, {wide}, {high}]"
    answer = parse(text, WHERE, PromptStyle(box_format), size=SIZE)
    assert [box.xyxy for box in answer.boxes] == [(0, 0.5, 1, 1), pytest.approx((0.1, 0, 1, 1))]
    assert (answer.clamped, answer.wrong, answer.well_formed) == (1, (), True)


# Writing, and back


def sides():
    return st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).filter(lambda v: v[0] < v[1])


any_box = st.builds(
    lambda x, y, label: Box(xyxy=(x[0], y[0], x[1], y[1]), label=label),
    sides(),
    sides(),
    st.lists(st.text(string.ascii_letters + "é-", min_size=3), min_size=1, max_size=3).map(" ".join),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(any_box, min_size=1, max_size=4).map(tuple), st.sampled_from(FORMATS), st.booleans())
def test_boxes_come_back_within_rounding(boxes, box_format, decoded):
    text = boxes_text(boxes, box_format, SIZE)
    if decoded:  # as tokenizers do with skip_special_tokens
        text = re.sub(r"<\|\w+\|>", "", text)
    found = read_boxes(text, box_format, SIZE)
    assert (found.wrong, found.clamped, found.whole) == ((), 0, True)
    assert [box.label for box in found.boxes] == [box.label for box in boxes]
    steps = {"unit": (0.01, 0.01), "pixel": (1 / SIZE[0], 1 / SIZE[1])}.get(box_format, (0.001, 0.001))
    for written, box in zip(found.boxes, boxes, strict=True):
        for axis in (0, 1):
            ends = slice(axis, None, 2)
            wide = box.xyxy[axis + 2] - box.xyxy[axis] > steps[axis]  # else it grows to a step
            near = pytest.approx(box.xyxy[ends], abs=steps[axis] * (0.50001 if wide else 1.00001))
            assert written.xyxy[ends] == near


@pytest.mark.parametrize(
    ("x1", "x2", "written"),
    [(0.4, 0.401, "0.40, 0.41"), (0.397, 0.399, "0.39, 0.40"), (0.398, 0.402, "0.39, 0.40"), (0.999, 1, "0.99, 1.00")],
)
def test_a_box_narrower_than_a_step_is_written_one_step_wide(x1, x2, written):
    x = written.split(", ")
    assert boxes_text((Box(xyxy=(x1, 0, x2, 1)),), "unit") == f"[{x[0]}, 0.00, {x[1]}, 1.00]"
    assert read(boxes_text((Box(xyxy=(0.5, 0.2, 0.5001, 0.2001)),), "thousand"), "thousand")[0] == [
        (0.5, 0.2, 0.501, 0.201)
    ]


def test_notations():
    boxes = (Box(xyxy=(0.1, 0.25, 0.5, 1), label="heart"), Box(xyxy=(0, 0, 0.126, 0.5)))
    assert boxes_text(boxes, "unit") == "heart [0.10, 0.25, 0.50, 1.00], [0.00, 0.00, 0.13, 0.50]"
    assert boxes_text(boxes[:1], "thousand") == (
        '```json\n[\n\t{"bbox_2d": [100, 250, 500, 1000], "label": "heart"}\n]\n```'
    )
    assert boxes_text(boxes[:1], "pixel", SIZE) == (
        '```json\n[\n\t{"bbox_2d": [45, 84, 224, 336], "label": "heart"}\n]\n```'
    )
    assert boxes_text(boxes, "qwen2") == (
        "<|object_ref_start|>heart<|object_ref_end|><|box_start|>(100,250),(500,1000)<|box_end|>"
        "<|box_start|>(0,0),(126,500)<|box_end|>"
    )
    assert boxes_text((), "unit") == ""


def test_half_a_surrogate_pair_in_a_label_does_no_harm():
    unit, thousand = "a\ud800b [0.1, 0.2, 0.3, 0.4]", '{"bbox_2d": [100, 200, 300, 400], "label": "a\udfffb"}'
    assert read(unit)[1] == read(thousand, "thousand")[1] == ["a?b"]


PIECES = ["[", "]", "(", ")", "{", "}", "<", ">", "[0.1, 0.2, 0.3, 0.4]", "[1, 2,", "(1,2)", ",", "-", "." * 9,
          "9" * 400, "٣", "\ud800", "\udfff", "\x00", '"label": "', '{"bbox_2d": [1, 2, 3, 4], ', "<box>",
          "<|box_end|>", "'", "\\", " ", "\n", " and ", "is at ", "A", "，", "1."]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.text(st.characters(exclude_categories=()), max_size=300),
        st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
        st.tuples(st.lists(st.sampled_from(PIECES), max_size=3), st.sampled_from(PIECES)).map(
            lambda parts: "".join(parts[0]) + parts[1] * (100_000 // len(parts[1])) + "!"
        ),
    ),
    st.sampled_from(FORMATS),
)
def test_any_text_is_read(text, box_format):
    found = read_boxes(text, box_format, SIZE)  # Box refuses what is no box
    assert 0 <= found.clamped <= len(found.boxes)
    places = [place for place, _ in found.wrong]
    assert places == sorted(set(places) & set(range(len(found.boxes) + len(found.wrong))))


# Whose convention


def answers(form, scale, count=43):
    corners = [(0.1, 0.2, 0.3, 0.4), (0.5, 0.25, 0.9, 0.98), (0.6, 0.6, 0.7, 0.8), (0.5, 0.5, 0.95, 0.97)] * count
    return [form.format(*(round(v * s, 3) for v, s in zip(c, (scale, scale) * 2, strict=True))) for c in corners]


@pytest.mark.parametrize(
    ("told", "written", "size", "fit"),
    [
        ("unit", 1000, None, "'thousand'"),
        ("unit", 1600, None, "'pixel'"),
        ("unit", 1000, (448, 448), "'thousand'"),
        ("unit", 400, (448, 448), "'thousand' or 'pixel'"),  # both are possible; it says so
        ("thousand", 1, None, "'unit'"),
        ("thousand", 1600, (1600, 1600), "'pixel'"),  # three of four are larger than 1000
        ("qwen2", 1, None, "'unit'"),
        ("pixel", 1000, (448, 448), "'thousand'"),
        ("pixel", 1, (448, 448), "'unit'"),
        ("unit", 1, None, None),
        ("thousand", 1000, None, None),
        ("qwen2", 1000, None, None),
        ("pixel", 448, (448, 448), None),
    ],
)
def test_a_model_that_writes_another_convention_is_named(told, written, size, fit):
    texts = [*answers("nodule [{}, {}, {}, {}]", written), "none"]
    line = misfit("mine", texts, told, [size] * len(texts))
    outside = 129 if told in ("thousand", "pixel") and written > 1 else 172
    assert line == (
        fit
        and f"most boxes of mine ({outside} of 172) lie outside '{told}' and fit {fit}; "
        "set evaluation.models.mine.box_format"
    )


def test_many_boxes_outside_that_fit_another_convention_are_named_too():
    texts = answers("[{}, {}, {}, {}]", 1100)  # of a film of 1100 pixels
    line = misfit("mine", texts, "thousand", [(1100, 1100)] * len(texts))
    assert line.startswith("many boxes of mine (86 of 172) lie outside 'thousand' and fit 'pixel'")
    assert misfit("mine", [*texts, *answers("[{}, {}, {}, {}]", 1000, 100)], "thousand") is None


def test_a_few_wrong_boxes_or_nonsense_are_no_other_convention():
    right = answers("[{}, {}, {}, {}]", 1)
    assert misfit("mine", [*right, *answers("[{}, {}, {}, {}]", 1000, 9)], "unit") is None
    assert misfit("mine", ["[0.5, 0.5, 0.1, 0.1]"] * 9, "unit") is None  # fits none
    assert misfit("mine", ["none", ""], "unit") is None
    assert misfit("mine", [], "unit") is None


def test_geminis_order_is_named():
    line = misfit("gemma", answers('{{"box_2d": [{}, {}, {}, {}], "label": "nodule"}}', 1000), "thousand")
    assert "most boxes of gemma (172 of 172) stand under 'box_2d'" in line
