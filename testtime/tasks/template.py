"""Templates of a task's YAML: `{field}`, `{field[key]}`, `{field:spec}`, and doubled braces.

Not `str.format`: that reads any attribute of any object behind a field, so a YAML from a stranger
could print the environment, and it pads to any width. Here a field is found by its name, a key only
in plain mappings and lists, and a spec is a short number format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

WIDEST = 200  # characters to which a format may pad; a precision has two digits
_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FIELD = re.compile(r"([^\[\]:!]+)((?:\[[^\[\]]*\])*)(?::(.*))?", re.DOTALL)
_SPEC = re.compile(r"(?:.?[<>=^])?[+\- ]?0?(\d{0,3})[,_]?(?:\.\d{1,2})?[bcdeEfFgGnosxX%]?")


def fill(template: str, fields: Mapping[str, Any]) -> str:
    """The template with its fields filled in.

    Raises KeyError for a field (or key) that is not there, ValueError for anything that is no
    template.
    """

    def part(match: re.Match[str]) -> str:
        token = match.group()
        if token in ("{{", "}}"):
            return token[0]
        if match[1] is None:
            raise ValueError(f"a single {token!r}")
        return _shown(match[1], fields)

    return _PART.sub(part, template)


def value(field: str, fields: Mapping[str, Any]) -> Any:
    """What `name` or `name[key]` stands for, with its type."""
    return _looked_up(*_parsed(field)[:2], fields)


def is_one_field(template: str) -> bool:
    """Whether a template is one field, without a format, and nothing else."""
    return re.fullmatch(r"\{[^{}:!]+\}", template) is not None


def _parsed(field: str) -> tuple[str, list[str], str]:
    match = _FIELD.fullmatch(field)
    if match is None:
        raise ValueError(
            f"{{{field[:40]}}} is no field; write {{name}}, {{name[key]}} or {{name:.2f}}"
        )
    return match[1], re.findall(r"\[([^\[\]]*)\]", match[2]), match[3] or ""


def _looked_up(name: str, keys: list[str], fields: Mapping[str, Any]) -> Any:
    value = fields[name]
    for key in keys:
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key[:9]) < len(value):
            value = value[int(key)]
        else:
            raise KeyError(f"{name}[{key}]")
    return value


def _shown(field: str, fields: Mapping[str, Any]) -> str:
    name, keys, spec = _parsed(field)
    value = _looked_up(name, keys, fields)
    if not spec:
        return str(value)
    match = _SPEC.fullmatch(spec)
    if match is None or int(match[1] or 0) > WIDEST or not isinstance(value, (str, int, float)):
        raise ValueError(f"{spec[:20]!r} is no format for {name!r}; write one such as .2f or >4")
    return format(value, spec)
