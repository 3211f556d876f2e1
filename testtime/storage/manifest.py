"""run.json as typed fields: what a run directory's rows are, and what was done to it.

It is validated where it is read, so that a file edited by hand is one clear line and everything
behind it can rely on the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field, replace
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

FORMAT = 2  # of the run directory; an older one is refused by name


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class Imported:
    """Where an imported run comes from. printed: {"metric", "printed", "here"}; left_out: problems
    never scored; notes: which columns were used, and for what.
    """

    format: str
    files: list[str]
    printed: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class Manifest:
    """model: its name; identity: what makes its calls comparable; config: of this model, as plain
    data; architecture: the model's own config; thinking_format: its delimiters; sessions: one entry
    each time something was drawn; rates: as measured.
    """

    model: str
    config: dict[str, Any]
    problems: list[str]
    created: float = 0.0
    testtime: str = ""
    identity: dict[str, Any] = field(default_factory=dict)
    architecture: dict[str, Any] = field(default_factory=dict)
    thinking_format: dict[str, Any] = field(default_factory=dict)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    rates: dict[str, Any] = field(default_factory=dict)
    imported: Imported | None = None
    format: int = FORMAT

    def changed(self, **fields: Any) -> Manifest:
        return replace(self, **fields)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


_READER = TypeAdapter(Manifest)


def read_manifest(data: Mapping[str, Any]) -> Manifest:
    """Plain data as a manifest. Raises ValueError, naming the field, where one is not what it has
    to be.
    """
    try:
        return _READER.validate_python(data)
    except (ValidationError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise ValueError("nested too deeply") from None
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
