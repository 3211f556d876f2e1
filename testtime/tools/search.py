"""Search in a local corpus by BM25 (Robertson and Zaragoza 2009), as `bm25s` computes it.

A corpus is a .jsonl with a `text` (and maybe a `title`) a line, or text files (.txt, .md; one or a
folder of them) whose paragraphs are the passages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from testtime.errors import UserError
from testtime.tools.base import Result, Tool

TEXTS = (".txt", ".md")


class Search(Tool):
    """corpus: the file or folder; top: how many passages a call gives."""

    argument: ClassVar[str] = "query"
    name: str = "search"
    about: str = "passages that match some words"
    corpus: str
    top: int = Field(3, ge=1)

    def ready(self) -> str:
        return _index(self.corpus).fingerprint

    def run(self, call: str, before: Sequence[str], seconds: float) -> Result:
        if not call.strip():
            return Result("error: nothing to search for", "failed")
        passages = _index(self.corpus).best(call, self.top)
        if not passages:
            return Result("no passage matches")
        return Result("\n\n".join(f"[{i}] {text}" for i, text in enumerate(passages, 1)))


class _Index:
    """The passages of a corpus, ready to be searched; made once a process."""

    def __init__(self, passages: list[str]) -> None:
        try:
            import bm25s
        except ImportError:
            raise UserError(
                "thinking.tools: search needs bm25s; install testtime[search]"
            ) from None
        self._passages, self._library = passages, bm25s
        self.fingerprint = hashlib.blake2b(
            json.dumps(passages).encode(), digest_size=12
        ).hexdigest()
        self._scorer: Any = bm25s.BM25()
        self._scorer.index(self._words(passages), show_progress=False)

    def best(self, query: str, top: int) -> list[str]:
        """The passages that share a word with the query, best first (the earlier of equals)."""
        (words,) = self._words([query])
        known = [word for word in words if word in self._scorer.vocab_dict]
        if not known:
            return []
        scores = self._scorer.get_scores(known)
        order = np.argsort(-scores, kind="stable")[:top]
        return [self._passages[i] for i in order if scores[i] > 0]

    def _words(self, texts: list[str]) -> list[list[str]]:
        tokenized: list[list[str]] = self._library.tokenize(
            texts, stopwords="en", return_ids=False, show_progress=False
        )
        return tokenized


@lru_cache(maxsize=4)
def _index(corpus: str) -> _Index:
    place = Path(corpus)
    try:
        passages = list(_passages(place))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UserError(f"thinking.tools: search: {corpus}: {reason}") from None
    if not passages:
        raise UserError(f"thinking.tools: search: {corpus}: holds no passage")
    return _Index(passages)


def _passages(place: Path) -> Iterator[str]:
    if place.is_dir():
        for file in sorted(file for file in place.rglob("*") if file.suffix in TEXTS):
            yield from _passages(file)
    elif place.suffix == ".jsonl":
        for number, line in enumerate(place.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                yield _passage(line, f"{place}:{number}")
    else:
        yield from filter(None, map(str.strip, place.read_text(encoding="utf-8").split("\n\n")))


def _passage(line: str, where: str) -> str:
    try:
        row = json.loads(line)
    except ValueError:
        raise UserError(f"thinking.tools: search: {where}: not JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise UserError(f'thinking.tools: search: {where}: has no text; write {{"text": ...}}')
    title = row.get("title")
    return f"{title}: {row['text']}" if isinstance(title, str) and title else row["text"]
