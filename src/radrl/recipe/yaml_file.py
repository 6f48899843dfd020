"""Strict reading of a recipe's YAML: plain values only, no duplicate keys, ``--set`` overrides; errors of one line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field

from radrl.errors import UserError, one_line

MOST_VALUES = 20_000  # far above any recipe; stops aliases that unfold into millions of values
DEEPEST = 30


def as_number(value: Any) -> Any:
    """Returns the float that a text such as ``1e-4`` says (YAML reads it as text); anything else unchanged."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return number if math.isfinite(number) else value
    return value


Number = Annotated[float, BeforeValidator(as_number), Field(allow_inf_nan=False)]
"""A finite float of a pydantic model that is read from YAML."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which here also refuses duplicate keys and says where an unreadable value stands."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
            # PyYAML's own readers fail so on values such as 2020-99-99 or '!!bool x'
            raise yaml.constructor.ConstructorError(None, None, "not a value YAML can read", node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        if isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if key.value in seen:
                        message = f"key '{key.value}' stands here a second time"
                        raise yaml.constructor.ConstructorError(None, None, message, key.start_mark)
                    seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parse(text: str, where: str) -> Any:
    try:
        value = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(one_line(f"{where}{line}: broken YAML: {error.problem or error.context}")) from None
    except yaml.YAMLError as error:
        raise UserError(one_line(f"{where}: broken YAML: {error}")) from None
    except RecursionError:
        raise UserError(one_line(f"{where}: broken YAML: nested too deeply")) from None
    _check_plain(value, where, "", 0, [0])
    return value


def _check_plain(value: Any, where: str, key: str, depth: int, count: list[int]) -> None:
    """Allows mappings with text keys, lists, text, finite numbers, true/false and null, and not too many of them."""
    count[0] += 1
    at = f" key '{key}'" if key else ""
    if count[0] > MOST_VALUES or depth > DEEPEST:
        raise UserError(one_line(f"{where}:{at} too large or nested too deeply for a recipe"))
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise UserError(one_line(f"{where}:{at} has the key {name!r}, which is not text; put it in quotes"))
            _check_plain(name, where, key, depth + 1, count)
            _check_plain(item, where, f"{key}.{name}" if key else name, depth + 1, count)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_plain(item, where, f"{key}.{index}" if key else str(index), depth + 1, count)
    elif isinstance(value, str):
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise UserError(one_line(f"{where}:{at} holds half a surrogate pair; write the character itself"))
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise UserError(one_line(f"{where}:{at} must be a finite number"))
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 2**63:
            raise UserError(one_line(f"{where}:{at} is too large a number"))
    elif value is not None and not isinstance(value, bool):
        fix = "put it in quotes if it is text"
        raise UserError(one_line(f"{where}:{at} has a {type(value).__name__}, which a recipe cannot hold; {fix}"))


def read_mapping(path: Path, what: str = "recipe") -> dict[str, Any]:
    """Returns the mapping that a YAML file holds; ``what`` it is stands in the errors.

    Raises:
        UserError: missing, unreadable, not UTF-8, broken, or not a mapping of plain values.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(one_line(f"{path}: no such {what}")) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise UserError(one_line(f"{path}: cannot read the {what}: {reason}")) from None
    return mapping_in(content, path, what)


def mapping_in(content: bytes, path: Path, what: str = "recipe") -> dict[str, Any]:
    """Returns the mapping that the bytes of a YAML file hold. Raises UserError, as `read_mapping`."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(one_line(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8")) from None
    value = _parse(text, str(path))
    if not isinstance(value, dict):
        example = "seed: 0" if what == "recipe" else "key: value"
        raise UserError(one_line(f"{path}: a {what} is a mapping such as '{example}', one key a line"))
    return value


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Sets ``a.b=c`` in place; ``c`` is read as YAML, a list item is named by its index (``data.train.0=x``)."""
    for override in overrides:
        dotted, equals, text = override.partition("=")
        where = f"--set {override}"
        parts = dotted.strip().split(".")
        if not equals or not all(parts):
            raise UserError(one_line(f"{where}: write it as --set key=value, for example --set grpo.max_steps=10"))
        value = _parse(text, where)
        holder: Any = values
        for depth, part in enumerate(parts):
            last = depth == len(parts) - 1
            if isinstance(holder, list):
                if not (part.isdecimal() and part.isascii() and len(part) < 6 and int(part) < len(holder)):
                    name = ".".join(parts[:depth])
                    raise UserError(
                        one_line(f"{where}: '{name}' is a list of {len(holder)}; name an item by its index")
                    )
                slot: Any = int(part)
            elif isinstance(holder, dict):
                slot = part
            else:
                raise UserError(one_line(f"{where}: '{'.'.join(parts[:depth])}' is not a section"))
            if last:
                holder[slot] = value
            else:
                if isinstance(holder, dict) and holder.get(slot) is None:
                    holder[slot] = {}
                holder = holder[slot]
