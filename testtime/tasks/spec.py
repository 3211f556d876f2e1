"""A benchmark's YAML as typed models, so that a wrong key or value is named with its file, key and
nearest right one.

Texts are templates (`template`) over a row of the data set: `{question}`, `{metadata[expression]}`,
`{Correct Answer}`; a literal brace is doubled (`\\boxed{{}}`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from testtime.errors import UserError, suggest

Scalar = str | int | float | bool


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubLoader(_Model):
    """Files of a Hugging Face data set at a pinned revision; read from the cache when it is already
    there.
    """

    kind: Literal["hub"]
    dataset: str
    revision: str
    files: list[str] = Field(min_length=1)
    records: str | None = None
    gated: bool = False


class FileLoader(_Model):
    """A local .jsonl, .json, .csv or .parquet (the first three also .gz), or a folder of them.

    records: the key that holds the list in a .json.
    """

    kind: Literal["file"]
    path: str
    records: str | None = None


class GymLoader(_Model):
    """One of reasoning-gym's data sets with its difficulty settings; `load`'s seed is the data
    set's.
    """

    kind: Literal["reasoning_gym"]
    dataset: str
    settings: dict[str, Any] = {}
    size: int = Field(default=500, ge=1)


Loader = Annotated[HubLoader | FileLoader | GymLoader, Field(discriminator="kind")]


class Choices(_Model):
    """The options of a multiple-choice problem.

    options: the row's field that holds the list, or one template an option. correct: template of
    the right one, read as `correct_is` says: its letter, its 0-based index, its text. strip:
    regular expression removed from every option (a letter in front of it). shuffle: order the
    options by a hash of the problem and the seed, so that no position is favoured.
    """

    options: str | list[str]
    correct: str
    correct_is: Literal["letter", "index", "text"] = "letter"
    strip: str | None = None
    shuffle: bool = True


class Range(_Model):
    """A row is kept where min <= value <= max; ISO dates compare as text."""

    min: Scalar | None = None
    max: Scalar | None = None


class Example(_Model):
    """A worked example for few-shot prompts: the question as it would stand in the data, the whole
    answer.
    """

    question: str
    answer: str


class GraderSpec(_Model):
    """The grader's name in `testtime.grading` and its options."""

    name: str
    options: dict[str, Any] = {}


class TaskSpec(_Model):
    """One benchmark. `prompt` and `base_prompt` are templates over the row plus {question},
    {options} and {letters}.
    """

    name: str
    description: str
    license: str
    loader: Loader
    grader: GraderSpec
    question: str = "{question}"
    gold: str | dict[str, str] = "{answer}"
    gold_pattern: str | None = None
    prompt: str = "{question}"
    base_prompt: str = "Question: {question}\nAnswer:"
    prompt_note: str = ""
    system: str | None = None
    style: Literal["chat", "base"] = "chat"
    shots: int = Field(default=0, ge=0)
    examples: list[Example] = []
    id: str | None = None
    choices: Choices | None = None
    where: dict[str, Range | list[Scalar] | Scalar] = {}
    meta: dict[str, str] = {}


def read_yaml(path: Path) -> dict[str, Any]:
    """The YAML's mapping. Raises UserError where the file is absent, is not YAML or holds something
    else.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(
            f"{path}: expected a mapping of keys such as name, loader, grader; found "
            f"{type(raw).__name__}"
        )
    return raw


def with_overrides(raw: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """The raw YAML with a user's changes: any key of the YAML (mappings are merged, so are the
    grader's options) and three short forms.

    `path` reads the rows from a local file or folder instead; `size` and `settings` (merged) go to
    the loader.
    """
    merged = dict(raw)
    loader = dict(raw["loader"]) if isinstance(raw.get("loader"), dict) else {}
    for key, value in overrides.items():
        if key == "path":
            loader = {"kind": "file", "path": str(value), "records": loader.get("records")}
        elif key == "size":
            loader["size"] = value
        elif key == "settings" and isinstance(value, dict):
            loader["settings"] = {**loader.get("settings", {}), **value}
        elif key == "loader":
            loader = (
                value
                if isinstance(value, dict) and "kind" in value
                else {**loader, **(value or {})}
            )
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value, 2 if key == "grader" else 1)
        else:
            merged[key] = value
    return {**merged, "loader": loader} if loader else merged


def _merged(old: dict[str, Any], new: dict[str, Any], depth: int) -> dict[str, Any]:
    """Mappings merged so many levels deep."""
    inner = {
        key: _merged(old[key], value, depth - 1)
        for key, value in new.items()
        if depth > 1 and isinstance(value, dict) and isinstance(old.get(key), dict)
    }
    return {**old, **new, **inner}


def parse_spec(raw: dict[str, Any], where: str) -> TaskSpec:
    """The typed benchmark, or a UserError with one line for the first thing wrong in `where`."""
    try:
        return TaskSpec.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{where}: {_one_line(error)}") from None


def _one_line(error: ValidationError) -> str:
    first = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")[0]
    loc = [str(part) for part in first["loc"] if str(part) not in {"hub", "file", "reasoning_gym"}]
    key = ".".join(loc)
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}{suggest(loc[-1], _keys(first['loc']))}"
    if first["type"] == "missing":
        return f"key {key!r} is missing"
    if first["type"].startswith("union_tag"):
        kinds = [
            get_args(model.model_fields["kind"].annotation)[0]
            for model in (HubLoader, FileLoader, GymLoader)
        ]
        given = first["input"].get("kind") if isinstance(first["input"], dict) else first["input"]
        return f"key 'loader.kind' is {given!r}{suggest(str(given), kinds)}"
    return (
        f"key {key!r}: {first['msg'][0].lower()}{first['msg'][1:]}, found "
        f"{str(first['input'])[:60]!r}"
    )


def _keys(loc: tuple[int | str, ...]) -> list[str]:
    """The keys allowed where the unknown one stands."""
    by_parent: dict[str, type[BaseModel]] = {
        "hub": HubLoader,
        "file": FileLoader,
        "reasoning_gym": GymLoader,
        "grader": GraderSpec,
        "choices": Choices,
    }
    parent = str(loc[-2]) if len(loc) > 1 else ""
    if loc[0] == "examples":
        return list(Example.model_fields)
    if loc[0] == "where":
        return list(Range.model_fields)
    return list(by_parent.get(parent, TaskSpec).model_fields)
