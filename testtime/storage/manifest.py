"""run.json as typed fields: what a run directory's rows are, and what was done to it.

A file that people edit and programs of other versions write is checked when it is read, not where
it is used, so one that is damaged is one clear line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, field, replace
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

FORMAT = 2  # of the run directory; an older one is refused by name
_STRICT = ConfigDict(extra="ignore", strict=True)
Time = Annotated[float, Field(ge=0, lt=1e11)]  # seconds since 1970
Number = Annotated[float, Field(allow_inf_nan=False)]


class Session(TypedDict):
    """One time that something was drawn: when, by what, and what the engine did for it."""

    started: Time
    engine: str
    seconds: Number
    chain_tokens: int
    answer_tokens: int
    loading_seconds: NotRequired[Number]
    discarded_tokens: NotRequired[int]
    prompt_tokens: NotRequired[int]
    cached_tokens: NotRequired[int]
    retries: NotRequired[int]
    missing: NotRequired[int]
    versions: NotRequired[dict[str, str]]
    machine: NotRequired[str]


class Printed(TypedDict):
    """A metric as the log's own tool printed it, and as it is computed here."""

    metric: str
    printed: float
    here: float


@dataclass(frozen=True, config=_STRICT)
class Imported:
    """Where an imported run comes from. notes: which columns were used, and for what."""

    format: str
    files: list[str]
    printed: list[Printed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, config=_STRICT)
class Manifest:
    """model: its name; identity: what makes its calls comparable; config: of this model, as plain
    data; architecture: the model's own config; verifier, planner: those of the models that score
    steps and that plan;
    thinking_format: its delimiters, empty of an imported run; left_out: a line for each
    problem without any verdict; rates: as measured.
    """

    model: str
    config: dict[str, Any]
    problems: list[str]
    left_out: list[str] = field(default_factory=list)
    created: Time = 0.0
    testtime: str = ""
    identity: dict[str, Any] = field(default_factory=dict)
    architecture: dict[str, Any] = field(default_factory=dict)
    verifier: dict[str, Any] = field(default_factory=dict)
    planner: dict[str, Any] = field(default_factory=dict)
    thinking_format: dict[str, Any] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    rates: dict[str, Any] = field(default_factory=dict)
    imported: Imported | None = None
    format: int = FORMAT

    def changed(self, **fields: Any) -> Manifest:
        return replace(self, **fields)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


class _Config(TypedDict):
    """What is read of a config before it is parsed as one."""

    samples: int
    seed: int
    model: list[Any]
    task: list[Any]


_READER = TypeAdapter(Manifest)
_CONFIG = TypeAdapter(_Config)


def read_manifest(data: Mapping[str, Any]) -> Manifest:
    """Plain data as a manifest. Raises ValueError, naming the field, where one is not what it has
    to be.
    """
    try:
        # As JSON: strict Python input would have to be instances.
        read = _READER.validate_json(json.dumps(data))
        _CONFIG.validate_json(json.dumps(read.config), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if read.imported is None and not read.thinking_format:
        raise ValueError("thinking_format: field required")
    return read
