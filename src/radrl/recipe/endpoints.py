"""Models behind OpenAI-compatible endpoints, as a recipe names them."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator

from radrl.recipe.yaml_file import Number


class Endpoint(BaseModel):
    """A model behind an OpenAI-compatible endpoint, and how hard to press it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    url: str
    """Base address, such as ``http://localhost:8000/v1``; ``/chat/completions`` is added."""
    model: str = Field(min_length=1)
    """The model's name at that endpoint."""
    api_key_env: str | None = None
    """Environment variable that holds the API key; the key itself is never in a recipe."""
    concurrency: int = Field(default=4, ge=1, le=1024)
    """Most requests under way at a time."""
    timeout: Number = Field(default=120.0, gt=0)
    """Seconds to wait for one reply."""
    retries: int = Field(default=6, ge=0)
    """How often a request is repeated after a 429, a 5xx, a timeout or a lost connection."""
    backoff: Number = Field(default=1.0, ge=0)
    """Seconds before the first repeat; doubled each time, with jitter, at most 60 unless the server asks for more."""
    attempts: int = Field(default=3, ge=1)
    """How many replies to ask for before a question whose replies are all unusable is given up."""
    max_tokens: int = Field(default=2048, ge=1)
    """Longest reply, in tokens."""
    temperature: Number = Field(default=0.7, ge=0)
    """Sampling temperature; above 0, so that a second attempt can differ from the first."""

    @field_validator("url")
    @classmethod
    def _plain_url(cls, v: str) -> str:
        try:
            parts = urlsplit(v)
            named = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
            httpx.URL(v)
        except (ValueError, httpx.InvalidURL):
            named = False
        if not named:
            raise ValueError("should be an http:// or https:// address")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("should hold no user, password or query; name the key's variable in api_key_env")
        return v.rstrip("/")


class Teacher(Endpoint):
    """A model that writes thinking traces (training/teacher.py), and what it is told."""

    prompt: str | None = Field(default=None, min_length=1)
    """Text file of what it is asked, relative to the recipe's folder; radrl's own when not given."""


class Judge(Endpoint):
    """A model that judges answers (scoring/judge.py): what verdicts it gives, where they are kept, what it may cost."""

    prompt: str | None = Field(default=None, min_length=1)
    """Text file of what it is asked, relative to the recipe's folder; radrl's own when not given."""

    max_tokens: int = Field(default=256, ge=16)
    """Longest reply, in tokens; it holds a reason and the verdict."""
    temperature: Number = Field(default=0.0, ge=0)
    """Sampling temperature."""
    graded: bool = False
    """Verdicts of 1 to 5, scored 0 to 1 in quarters, instead of 0 or 1."""
    cache: str | None = Field(default=None, min_length=1)
    """File of verdicts, JSONL, relative to the recipe's folder; ``judge.jsonl`` in the run folder when not given."""
    budget: int = Field(default=100_000, ge=1)
    """Most calls in one run of a command; verdicts from the file cost none."""


class JudgedEndpoint(Endpoint):
    """A model behind an endpoint that an evaluation judges, and what its requests may hold."""

    sampling: Literal["vllm", "openai"] = "vllm"
    """``vllm``: requests say every sampling setting by the names of vLLM and SGLang, so that none is the server's own.
    ``openai``: only temperature, top_p, max_tokens, seed and stop, for servers that refuse others."""
