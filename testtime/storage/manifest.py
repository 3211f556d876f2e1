"""What run.json must hold for its readers: a file that people edit and programs of other versions
write is checked when it is read, not where it is used.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Number = Annotated[float, Field(allow_inf_nan=False)]


class _Read(BaseModel):
    """Further keys are kept as they are."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Session(_Read):
    started: Annotated[float, Field(ge=0, lt=1e11)]
    engine: str
    seconds: Number
    chain_tokens: int
    answer_tokens: int
    prompt_tokens: int = 0
    cached_tokens: int = 0
    retries: int = 0
    missing: int = 0
    versions: dict[str, str] = {}


class _Printed(_Read):
    metric: str
    printed: float
    here: float


class _Imported(_Read):
    format: str
    files: list[str]
    printed: list[_Printed]
    left_out: list[str]
    notes: list[str] = []


class _Config(_Read):
    """What is read before the config is parsed as one."""

    samples: int
    seed: int
    model: list[Any]
    task: list[Any]


class _Manifest(_Read):
    model: str
    config: _Config
    problems: list[str]
    model_config_: dict[str, Any] = Field(alias="model_config")
    sessions: list[_Session]
    created: Annotated[float, Field(ge=0, lt=1e11)] | None = None
    identity: dict[str, Any] = {}
    testtime: str = ""
    imported: _Imported | None = None
    thinking_format: dict[str, Any] | None = None


def complaint(data: dict[str, Any]) -> str | None:
    """What is wrong with a manifest, None where nothing is."""
    try:
        read = _Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
    if read.imported is None and read.thinking_format is None:
        return "thinking_format: field required"
    return None
