"""A model as others publish them, small: a chat template of its own that opens <think> itself, boxes in 0-1000 as JSON,
the answer in tags, and a generation_config.json full of settings. It is trained until it answers a few Examples right.

Nothing of radrl writes its prompts or answers: it is taught through its own chat template, by strings made here. A
server shows it as vLLM would: its template, and its folder's settings where a request leaves them open.
"""

from __future__ import annotations

import base64
import io
import json
import threading
from pathlib import Path

import torch
from openai_server import serve
from PIL import Image
from transformers import AutoModelForImageTextToText, GenerationConfig

from radrl.models import loading
from radrl.models.processor import Qwen3VLProcessor
from radrl.models.tiny import make_tiny

TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if loop.first and message['role'] != 'system' -%}"
    "{{ '<|im_start|>system\\nYou read films.<|im_end|>\\n' }}{%- endif -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{%- if message['content'] is string -%}{{ message['content'] }}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] in ('image', 'image_url') -%}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- else -%}{{ part['text'] }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{{ '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n<think>\\n' }}{%- endif -%}"
)
ASKED = "{question}{options} First think, then answer in <answer> tags."
# what a recipe says of this model under evaluation.models
OPTIONS = {
    "box_format": "thousand",
    "answer": "tags",
    "prompt": {"template": ASKED, "thinking": True, "think_in_template": True},
}
OWN = {
    "do_sample": True, "temperature": 0.6, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.3,
    "no_repeat_ngram_size": 4, "min_new_tokens": 12,
}  # fmt: skip
STEPS = 60


def completion(example) -> str:
    """What the model is taught to write after <think>."""
    if example.task == "grounding" and example.boxes:
        boxes = [{"bbox_2d": [round(1000 * v) for v in box.xyxy], "label": box.label} for box in example.boxes]
        answer = json.dumps(boxes)
    else:
        answer = example.reference
        if example.choices and set(example.choices) != {"yes", "no"}:
            answer = f"{'ABCDEFGH'[example.choices.index(answer)]}. {answer}"
    return f"I look at the film.\n</think>\n\n<answer>{answer}</answer>"


def train(folder: Path, examples, asked: list[list[dict]], own: dict | None = None) -> None:
    """Saves a model that answers ``examples``, asked by the messages ``asked``, with ``own`` generation settings."""
    texts = [turns[-1]["content"][-1]["text"] + TEMPLATE for turns in asked] + [completion(e) for e in examples]
    model, processor = make_tiny(texts, image_size=64, seed=1)
    loading.suit_to_cpu(model)
    processor = Qwen3VLProcessor(processor.image_processor, processor.tokenizer, chat_template=TEMPLATE)
    processor.tokenizer.chat_template = TEMPLATE
    prompts = [processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) for turns in asked]
    whole = [p + completion(e) + processor.tokenizer.eos_token for p, e in zip(prompts, examples, strict=True)]
    pictures = [examples.pictures(i)[0] for i in range(len(examples))]
    given = {"images": pictures, "padding": True, "return_tensors": "pt"}
    inputs = dict(processor(text=whole, padding_side="right", **given))
    lengths = processor(text=prompts, padding_side="right", **given)["attention_mask"].sum(1, keepdim=True)
    place = torch.arange(inputs["input_ids"].shape[1])
    taught = (place >= lengths) & (inputs["attention_mask"] == 1)
    inputs["labels"] = torch.where(taught, inputs["input_ids"], -100)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 10, 2 * (STEPS - step) / STEPS)
        loss = model(**inputs).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    loading.save(model.eval(), processor, folder)
    set_own(folder, OWN if own is None else own)


def set_own(folder: Path, own: dict) -> None:
    """Gives a model's folder other generation settings."""
    file = folder / "generation_config.json"
    kept = {key: value for key, value in json.loads(file.read_text()).items() if key.endswith("token_id")}
    file.write_text(json.dumps({**kept, **own}))


def serving(folder: Path):
    """A server of the model on this machine, with transformers: ``with serving(folder) as server: server.url``."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32").eval()
    own = model.generation_config
    model.generation_config = GenerationConfig(eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id)
    processor = Qwen3VLProcessor.from_folder(str(folder))
    one_at_a_time = threading.Lock()

    def answer(body):
        pictures, turns = [], []
        for message in body["messages"]:
            content = message["content"]
            for part in content if isinstance(content, list) else []:
                if part["type"] == "image_url":
                    data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
                    pictures.append(Image.open(io.BytesIO(data)).convert("RGB"))
            turns.append({"role": message["role"], "content": content})
        prompt = processor.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, **body.get("chat_template_kwargs", {})
        )
        inputs = processor(text=[prompt], images=pictures or None, return_tensors="pt")
        length = inputs["input_ids"].shape[1]

        def setting(name, field=None):
            value = body.get(field or name, getattr(own, name))  # the request, else the folder
            return None if value == -1 else value

        assert setting("temperature") == 0, "this server is greedy"
        with one_at_a_time, torch.no_grad():
            made = model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=body["max_tokens"],
                repetition_penalty=setting("repetition_penalty"),
            )[0, length:]
        text = processor.tokenizer.decode(made, skip_special_tokens=True)
        return {
            "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"completion_tokens": len(made)},
        }

    return serve(answer, whole=True)
