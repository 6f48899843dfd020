"""``radrl ask --serve``: films and questions on a page of this computer, one question at a time through the model.

Films are kept in memory as long as there is room, and nowhere else; neither films nor questions nor answers are logged.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from typing import Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from radrl.commands.ask import Model
from radrl.errors import UserError
from radrl.evaluation.answers.one_question import Asker, question_example
from radrl.example import MOST_CHOICES
from radrl.images.copies import fitted_size
from radrl.images.files import read_uploaded
from radrl.images.in_memory import InMemory
from radrl.images.pixels import MAX_PIXELS, data_uri
from radrl.output.page.ask_page import ask_page
from radrl.output.page.cases import TASK_NAMES
from radrl.output.page.text import clean
from radrl.output.read_out import as_json, read_out
from radrl.support.local_server import LocalServer, Reply, Route, json_reply

MOST_BYTES = 200_000_000  # of one film's file
MOST_FILMS = 8  # of one question, and in memory
SIDE = 1024  # pixels of the longer side of the copy that the page shows


class Films:
    """The films of a visit, by a random name; the oldest are forgotten where there would be too many."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Image.Image] = OrderedDict()
        self._one_at_a_time = threading.Lock()  # one file is unpacked at a time, so that memory is bounded

    def add(self, file: InMemory) -> tuple[str, Image.Image, list[str]]:
        """Returns the name of a film, its picture, and what looks wrong with it. Raises UserError."""
        with self._one_at_a_time:
            picture, notes = read_uploaded(file)
            name = secrets.token_urlsafe(12)
            self._held[name] = picture
            while (
                len(self._held) > MOST_FILMS or sum(one.width * one.height for one in self._held.values()) > MAX_PIXELS
            ):
                self._held.popitem(last=False)
            return name, picture, notes

    def get(self, name: str) -> Image.Image:
        """Returns a film's picture. Raises UserError."""
        with self._one_at_a_time:
            if name not in self._held:
                raise UserError("the film is no longer in memory; choose it once more")
            self._held.move_to_end(name)
            return self._held[name]


class Question(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(extra="forbid", strict=True)

    films: list[str] = Field(max_length=MOST_FILMS)
    question: str = Field(max_length=10_000)
    task: str | None
    choices: list[str] = Field(max_length=MOST_CHOICES)


class Visit:
    """What the page's requests are answered with: a model and the films that were given."""

    def __init__(self, model: Model) -> None:
        self.asker = Asker(model.recipe, model.source)
        self.films = Films()
        self.page = ask_page(
            model.describe(self.asker),
            most_bytes=MOST_BYTES,
            most_films=MOST_FILMS,
            sent_out=model.source.is_endpoint,
        )

    @property
    def routes(self) -> dict[str, Route]:
        """What answers each address."""
        return {"": Route(self.show), "film": Route(self.take, MOST_BYTES), "ask": Route(self.answer, 200_000)}

    def show(self, body: bytes, kind: str) -> Reply:
        """Returns the page."""
        return Reply(self.page.html, "text/html; charset=utf-8", policy=self.page.policy)

    def take(self, body: bytes, kind: str) -> Reply:
        """Keeps a film, and returns a copy that a browser can show. Raises UserError."""
        name, picture, notes = self.films.add(InMemory("film.dcm" if kind == "application/dicom" else "film", body))
        small = picture.resize(fitted_size(picture.size, None, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
        shown = data_uri(small, "jpeg", quality=90)
        return json_reply(
            {"film": name, "width": picture.width, "height": picture.height, "picture": shown, "notes": notes}
        )

    def answer(self, body: bytes, kind: str) -> Reply:
        """Asks the model. Raises UserError."""
        try:
            given = Question.model_validate_json(body)
        except ValidationError:
            raise UserError("not a question of this page; load the page once more") from None
        asked = question_example(given.question, len(given.films), given.task, given.choices)
        pictures = [self.films.get(name) for name in given.films]
        begun = time.monotonic()
        answer = self.asker.ask(asked.example, pictures)
        size = pictures[0].size if pictures else None
        read = read_out(answer, asked.example, size, self.asker.header.decoding["max_new_tokens"])
        said: dict[str, Any] = {
            "task": TASK_NAMES[asked.example.task],
            "why": asked.why,
            "answer": clean(answer.text),
            "thinking": clean(answer.thinking or ""),
            **as_json(read),
            "seconds": round(time.monotonic() - begun, 1),
        }
        for box in said["boxes"]:
            box["label"] = clean(box["label"])
        return json_reply({**said, "said": clean(read.said)})


def serve_page(model: Model, port: int) -> None:
    """Serves the page until Ctrl-C. Raises UserError where the model cannot be asked or the port not be had."""
    visit = Visit(model)
    with LocalServer(visit.routes, port) as server:
        visit.asker.load()
        print(f"Ask on this computer: {server.address}\nThe address is for you alone. Ctrl-C ends it.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Ended; the films are forgotten.")
