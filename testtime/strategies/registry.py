"""The strategies by name, and configs read with them: the one line that a new strategy adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from testtime.config import load as reader
from testtime.config.schema import Config
from testtime.errors import UserError, suggest
from testtime.strategies.base import Strategy

_ROOM = "testtime.strategies"
STRATEGIES = {  # imported when a config names them
    "nested": f"{_ROOM}.nested:Nested",
    "fresh": f"{_ROOM}.nested:Fresh",
    "wait": f"{_ROOM}.nested:Wait",
    "native": f"{_ROOM}.native:Native",
    "revise": f"{_ROOM}.revise:Revise",
    "stepwise": f"{_ROOM}.stepwise:Stepwise",
    "beam": f"{_ROOM}.beam:Beam",
    "tools": f"{_ROOM}.tools:Tools",
    "decompose": f"{_ROOM}.decompose:Decompose",
    "particles": f"{_ROOM}.particles:Particles",
    "tree": f"{_ROOM}.tree:Tree",
}


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config[Strategy]:
    """Read a run's YAML, `overrides` as `key=value`. Raises UserError naming file, line and key."""
    return reader.load(path, _chosen, overrides)


def parse(raw: Mapping[str, Any], where: str = "config") -> Config[Strategy]:
    """A config from plain data. Raises UserError for the first thing wrong in it."""
    return reader.parse(raw, _chosen, where)


def _chosen(thinking: Any) -> type[Strategy]:
    """The strategy that a raw `thinking:` part names."""
    options = thinking if isinstance(thinking, Mapping) else {}
    name = options.get("strategy", "nested")
    if name not in STRATEGIES:
        raise UserError(f"thinking.strategy: {name!r} is unknown{suggest(str(name), STRATEGIES)}")
    if "mode" in options:
        renamed = {"engine": "native"}.get(options["mode"], options["mode"])
        raise UserError(f"thinking.mode: is called strategy; write thinking.strategy: {renamed}")
    return strategy(name)


def strategy(name: str) -> type[Strategy]:
    """The strategy of a known name."""
    module, _, kind = STRATEGIES[name].partition(":")
    chosen: type[Strategy] = getattr(import_module(module), kind)
    return chosen
