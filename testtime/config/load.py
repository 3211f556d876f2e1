"""A run's YAML: every wrong key or value is named with its file, line and the nearest right one.

One file describes one run. `--set key=value` (dotted keys, YAML values) overrides it from the
command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from testtime.config.schema import (
    Answer,
    Config,
    EngineSpec,
    ModelRef,
    Prices,
    Rates,
    Sampling,
    TaskRef,
)
from testtime.errors import UserError, suggest
from testtime.redact import vet

UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")  # of models and of dataclasses
Chosen = Callable[[Any], type[Any]]  # from the raw `thinking:` part to the strategy it names


def load(path: str | Path, chosen: Chosen, overrides: Sequence[str] = ()) -> Config[Any]:
    """Read a run's YAML; `overrides` are `key=value` with dotted keys and YAML values.

    Raises UserError with one line that names file, line, key and what to write instead.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not text'}); "
            f"give a run's YAML, such as configs/quickstart.yaml"
        ) from None
    try:
        raw, tree = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(
            f"{path}: expected keys such as task, model, thinking; see configs/quickstart.yaml"
        )
    raw.setdefault("name", path.stem)
    for override in overrides:
        _override(raw, override)
    return parse(raw, chosen, str(path), tree)


def parse(
    raw: Mapping[str, Any], chosen: Chosen, where: str = "config", tree: yaml.Node | None = None
) -> Config[Any]:
    """A Config from plain data. Raises UserError for the first thing wrong in it."""
    if trouble := vet(raw):
        raise UserError(f"{where}: {trouble}")
    strategy = chosen(raw.get("thinking"))
    try:
        return Config[strategy].model_validate(raw)  # type: ignore[valid-type]
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] not in UNKNOWN)
        line = _line(tree, first["loc"])
        place = f"{where}{f':{line}' if line else ''}"
        raise UserError(f"{place}: {_say(first, strategy)}") from None


def _override(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UserError(
            f"--set {override}: write key=value, such as --set samples=32 or --set "
            f"thinking.budgets=[0,64]"
        )
    *parents, last = key.split(".")
    node: Any = raw
    for name in parents:
        child = node.get(name)
        # `engine: vllm` and `model: x` are short for mappings.
        node[name] = (
            {"name": child} if isinstance(child, str) else child if child is not None else {}
        )
        node = node[name]
        if not isinstance(node, dict):
            raise UserError(
                f"--set {override}: {name} is a {type(node).__name__}, not a group of keys; set "
                f"it as a whole"
            )
    try:
        node[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--set {override}: the value is not valid YAML") from None


def _say(error: Any, strategy: type[Any]) -> str:
    loc = [str(part) for part in error["loc"]]
    key = ".".join(loc)
    if error["type"] in UNKNOWN:
        return f"unknown key {key!r}{suggest(loc[-1], _fields(error['loc'], strategy))}"
    if error["type"] == "missing":
        return f"key {key!r} is missing"
    message = error["msg"].removeprefix("Value error, ")
    if not loc:
        return str(message)
    given = f", found {error['input']!r}"[:80] if error["type"] != "value_error" else ""
    return f"{key}: {message[0].lower()}{message[1:]}{given}"


def _fields(loc: tuple[str | int, ...], strategy: type[Any]) -> list[str]:
    """The keys allowed where an unknown one stands."""
    groups: dict[str, Any] = {
        "task": TaskRef,
        "model": ModelRef,
        "engine": EngineSpec,
        "thinking": strategy,
        "sampling": Sampling,
        "answer": Answer,
        "price": Prices,
        "rates": Rates,
    }
    parents = [str(part) for part in loc[:-1] if isinstance(part, str)]
    group = groups.get(parents[-1], Config) if parents else Config
    return list(group.__pydantic_fields__)


def _line(tree: yaml.Node | None, loc: tuple[str | int, ...]) -> int | None:
    """The line (from 1) of the key or item at `loc`, or of its nearest parent that is written in
    the file.
    """
    if tree is None:
        return None
    node, line = tree, None
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            entry = next(((k, v) for k, v in node.value if k.value == part), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value)
        ):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
