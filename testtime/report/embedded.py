"""What the page's script reads: inside the page where all of it fits into 3 MB, else in files
beside it.

A browser fetches nothing for a page that was opened from a disk, but it runs scripts from there.
So the files are scripts of one call, and the name of each holds the hash of what is in it: a page
never reads the data of another report in the same folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PART = 1_000_000  # characters of a file; one problem is never divided
_MARKUP = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "'": r"\u0027"}


@dataclass(frozen=True)
class Browser:
    """One model's problems, hardest first.

    name: the model among the others; levels: its settings in words; problems: (id, question, gold)
    of each; marks: as `marks.marks`; settings: as `settings`; texts: JSON of the chains of each
    problem, empty where the run holds none; lead: a sentence that says what they are.
    """

    name: str
    levels: list[str]
    problems: list[tuple[str, str, str]]
    marks: list[dict[str, Any]]
    settings: list[tuple[int, str, list[float | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    lead: str = ""


def encoded(value: Any) -> str:
    """JSON that may stand inside an HTML page: nothing in it is markup."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign, escaped in _MARKUP.items():
        text = text.replace(sign, escaped)
    return text


def inside(browsers: Mapping[str, Browser], pairs: Any) -> str:
    """Everything as JSON: `problems` [id, question, gold] and `models`, key -> name, levels, marks
    and texts of each problem; pairs: of `differences.pairs`.
    """
    return _whole(browsers, pairs, {key: f"[{','.join(b.texts)}]" for key, b in browsers.items()})


def beside(browsers: Mapping[str, Browser], pairs: Any, folder: Path) -> str:
    """The same with the texts in files of a folder named data beside the page; `parts` says the
    name of each and how many problems it holds.
    """
    (folder / "data").mkdir(exist_ok=True)
    parts = {key: encoded(_write(key, b.texts, folder)) for key, b in browsers.items()}
    return _whole(browsers, pairs, parts, "parts")


def _whole(
    browsers: Mapping[str, Browser], pairs: Any, texts: Mapping[str, str], name: str = "texts"
) -> str:
    problems = {problem[0]: problem for b in browsers.values() for problem in b.problems}
    place = {identity: index for index, identity in enumerate(problems)}
    models = [
        f"{encoded(key)}:{{"
        f'"name":{encoded(b.name)},"levels":{encoded(b.levels)},'
        f'"at":{encoded([place[identity] for identity, _, _ in b.problems])},'
        f'"marks":{encoded(b.marks)},"settings":{encoded(b.settings)},"{name}":{texts[key]}}}'
        for key, b in browsers.items()
    ]
    head = f'"problems":{encoded(list(problems.values()))},"pairs":{encoded(pairs)}'
    return f'{{{head},"models":{{{",".join(models)}}}}}'


def _write(key: str, texts: list[str], folder: Path) -> list[tuple[str, int]]:
    """Write files of texts, in order; returns each one's path and number of problems."""
    parts: list[list[str]] = []
    size = PART
    for text in texts:
        if size + len(text) > PART:
            parts.append([])
            size = 0
        parts[-1].append(text)
        size += len(text)
    written = []
    for number, part in enumerate(parts):
        call = f"arrived({encoded(key)},{number},[{','.join(part)}]);"
        digest = hashlib.sha256(call.encode()).hexdigest()[:16]
        name = f"data/{key}-{number}-{digest}.js"
        (folder / name).write_text(call, encoding="utf-8")
        written.append((name, len(part)))
    return written
