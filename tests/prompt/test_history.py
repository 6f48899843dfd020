"""Questions of a conversation: what is asked, and that training and evaluation ask the same."""

from __future__ import annotations

from radrl.example import Box, Example, Turn
from radrl.models.inputs import IGNORE, Row, prompt_inputs, prompt_text, sft_inputs
from radrl.prompt.messages import PromptStyle, earlier, messages, target
from radrl.scoring.judge import _prompt
from radrl.scoring.verl import row

BOX = Box(xyxy=(0.1, 0.2, 0.3, 0.4), label="effusion")
ASKED = Example(
    id="c/2",
    task="vqa_open",
    question="Is it large?",
    images=("a.png",),
    reference="No.",
    history=(
        Turn(question="What does the film show?", answer="An effusion."),
        Turn(question="Where?", answer="effusion", boxes=(BOX,)),
    ),
)


def test_earlier_turns_are_chat_turns_and_the_image_stands_in_the_first():
    turns = messages(ASKED, PromptStyle(thinking=True))
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 2 + ["user"]
    assert [[part["type"] for part in turn["content"]] for turn in turns] == [["image", "text"]] + [["text"]] * 4
    texts = [turn["content"][-1]["text"] for turn in turns]
    assert texts[1:] == ["An effusion.", "Where?", "effusion [0.10, 0.20, 0.30, 0.40]", "Is it large? /think"]
    assert "bbox_2d" in messages(ASKED, PromptStyle("thousand"))[3]["content"][0]["text"]


def test_training_reads_the_prompt_that_evaluation_writes_and_learns_the_last_answer_only(tiny, examples):
    _, processor = tiny
    style, picture = PromptStyle(), examples.pictures(0)
    asked = prompt_inputs(processor, [ASKED], [picture], style)["input_ids"][0].tolist()
    trained = sft_inputs(processor, [Row(picture, [(ASKED, style)])])
    assert trained["input_ids"][0].tolist()[: len(asked)] == asked
    learned = trained["labels"][0][trained["labels"][0] != IGNORE]
    assert processor.tokenizer.decode(learned) == target(ASKED, style) + processor.tokenizer.eos_token
    text = prompt_text(processor, ASKED, style)
    assert text.index("What does the film show?") < text.index("An effusion.") < text.index("Is it large?")


def test_two_turns_of_a_conversation_share_a_row_as_if_each_stood_alone(tiny, examples):
    _, processor = tiny
    style, picture = PromptStyle(), examples.pictures(0)
    first = ASKED.model_copy(update={"id": "c/0", "question": "What does the film show?", "history": ()})
    both = sft_inputs(processor, [Row(picture, [(first, style), (ASKED, style)])])
    for number, example in enumerate((first, ASKED), 1):
        alone = sft_inputs(processor, [Row(picture, [(example, style)])])["input_ids"][0]
        own = (both["segments"][0] == 0) | (both["segments"][0] == number)
        assert both["input_ids"][0][own].tolist() == alone.tolist()


def test_who_judges_or_teaches_is_told_of_the_earlier_turns():
    from radrl.example import Answer

    assert earlier(ASKED).splitlines()[1] == "Earlier answer: An effusion."
    assert "An effusion." in _prompt(ASKED, Answer("No."), graded=False)
    assert earlier(ASKED.model_copy(update={"history": ()})) == ""
    assert [turn["content"] for turn in row(ASKED, PromptStyle())["prompt"]][:2] == [
        "<image>What does the film show?", "An effusion.",
    ]  # fmt: skip
