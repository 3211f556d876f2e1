"""The strategies by name, and configs read with them: the one line that a new strategy adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testtime.config import load as reader
from testtime.config.schema import Config
from testtime.errors import UserError, suggest
from testtime.strategies.base import Strategy
from testtime.strategies.beam import Beam
from testtime.strategies.decompose import Decompose
from testtime.strategies.native import Native
from testtime.strategies.nested import Fresh, Nested, Wait
from testtime.strategies.particles import Particles
from testtime.strategies.revise import Revise
from testtime.strategies.stepwise import Stepwise
from testtime.strategies.tools import Tools
from testtime.strategies.tree import Tree

STRATEGIES: dict[str, type[Strategy]] = {
    "nested": Nested,
    "fresh": Fresh,
    "wait": Wait,
    "native": Native,
    "revise": Revise,
    "stepwise": Stepwise,
    "beam": Beam,
    "tools": Tools,
    "decompose": Decompose,
    "particles": Particles,
    "tree": Tree,
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
    return STRATEGIES[name]
