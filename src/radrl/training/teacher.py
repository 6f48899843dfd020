"""Thinking traces for real data, written by a teacher model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Endpoint(BaseModel):
    """A teacher VLM behind an OpenAI-compatible endpoint, and how hard to press it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    url: str
    """Base address, such as ``http://localhost:8000/v1``; ``/chat/completions`` is added."""
    model: str = Field(min_length=1)
    """The model's name at that endpoint."""
    api_key_env: str | None = None
    """Environment variable that holds the API key; the key itself is never in a recipe."""
    concurrency: int = Field(default=4, ge=1, le=1024)
    """Most requests under way at a time."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds to wait for one reply."""
    retries: int = Field(default=6, ge=0)
    """How often a request is repeated after a 429, a 5xx, a timeout or a lost connection."""
    backoff: float = Field(default=1.0, ge=0)
    """Seconds before the first repeat; doubled each time, with jitter, at most 60 unless the server asks for more."""
    attempts: int = Field(default=3, ge=1)
    """How many traces to ask for before an Example whose trace does not end in its reference is given up."""
    max_tokens: int = Field(default=2048, ge=1)
    """Longest reply, in tokens."""
    temperature: float = Field(default=0.7, ge=0)
    """Sampling temperature; above 0, so that a second attempt can differ from the first."""

    @field_validator("url")
    @classmethod
    def _plain_url(cls, v: str) -> str:
        parts = urlsplit(v)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// address")
        if parts.username or parts.password or parts.query:
            raise ValueError("must not hold a user, password or query; name the key's variable in api_key_env")
        return v.rstrip("/")
