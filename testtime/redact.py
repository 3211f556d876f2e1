"""What must never be written down: keys, taken out of every text by value, in one place.

A secret is registered once, by whoever learns of it (an engine its key, `vet` what a config or a
URL holds), and from then on `redact` puts *** in its place: in messages (`UserError` calls it),
logs, manifests, tables and reports. By value and not by name, because a server may quote a key,
name its model like one, or cut it in half.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

SHORTEST = 6  # characters of a secret; a shorter one would take ordinary words out of every text
HALF = 12  # characters of a secret's beginning or end that are taken out where a text was cut
_NAMED = re.compile(
    r"(?i)(?:^|[_-])(?:api[_-]?key|key|token|secret|password|passwd|authorization)$|^x-api-key$"
)
_VARIABLE = re.compile(r"(?:API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|_KEY)$")
_KEY_SHAPED = re.compile(r"(?=[^/]*\d)(?=[^/]*[A-Za-z])[A-Za-z0-9_-]{24,}|sk-[A-Za-z0-9_-]{8,}")
_secrets: set[str] = set()
_pattern: re.Pattern[str] | None = None
_Tree = TypeVar("_Tree")


def register(secret: str) -> None:
    """Take this value out of every text from now on, also as a URL, JSON or Python writes it."""
    global _pattern
    pieces = {secret, secret.strip(), " ".join(secret.split()), *secret.split()}
    for piece in list(pieces):
        pieces |= {
            quote(piece, safe=""),
            unquote(piece),
            json.dumps(piece)[1:-1],
            repr(piece)[1:-1],
        }
    new = {piece for piece in pieces if len(piece) >= SHORTEST} - _secrets
    if not new:
        return
    if not _secrets:
        _clean_logs()
    _secrets.update(new)
    cuts = {part for s in _secrets if len(s) >= HALF + 4 for part in (s[:HALF], s[-HALF:])}
    longest_first = sorted(_secrets, key=len, reverse=True)
    whole = "|".join(map(re.escape, longest_first))
    half = "|".join(rf"{re.escape(part)}[^\s\"'<>]{{0,400}}" for part in sorted(cuts))
    _pattern = re.compile(f"{whole}|{half}" if half else whole)


def register_environment() -> None:
    """Register the values of all environment variables that are named like keys, but for paths."""
    for name, value in os.environ.items():
        if _VARIABLE.search(name) and len(value) >= 16 and not value.startswith(("/", "~")):
            register(value)


def redact(text: str) -> str:
    """The text with *** for every registered secret. Cut a text only after this."""
    return _pattern.sub("***", text) if _pattern else text


def redact_tree(value: _Tree) -> _Tree:
    """Plain data (mappings, lists, texts) with every text redacted, keys included."""
    if isinstance(value, str):
        return redact(value)  # type: ignore[return-value]
    if isinstance(value, Mapping):
        return {redact_tree(k): redact_tree(v) for k, v in value.items()}  # type: ignore[return-value]
    if isinstance(value, (list, tuple)):
        return type(value)(redact_tree(v) for v in value)
    return value


def vet(value: Any, where: str = "") -> str | None:
    """Register what looks like a secret in plain data; says what is wrong with a URL in it, if
    anything is.

    What stands under a name with `url` may hold no user, password, query or fragment: keys come
    from the environment. Long random parts of its path, and values under names such as `api_key`,
    are registered. Call it on a config and on a task's YAML before anything is written.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, str) and _NAMED.search(str(key)):
                register(inner.removeprefix("Bearer ").strip())
            if trouble := vet(inner, f"{where}.{key}".lstrip(".")):
                return trouble
    elif isinstance(value, (list, tuple)):
        for inner in value:
            if trouble := vet(inner, where):
                return trouble
    elif isinstance(value, str) and "url" in where.rpartition(".")[2].lower() and "://" in value:
        return _vet_url(value, where)
    return None


def _vet_url(url: str, where: str) -> str | None:
    authority = url.partition("://")[2].partition("/")[0]
    try:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
        kept = [parts.query, parts.fragment]
    except ValueError:  # such as http://user:key@[::1
        host, path, kept = "", "", []
    for segment in path.split("/"):
        if _KEY_SHAPED.fullmatch(segment):
            register(segment)
    user, at, _ = authority.rpartition("@")
    for part in (user, *user.split(":"), *kept, *(p.partition("=")[2] for p in kept)):
        register(part)
    if at or any(kept):
        return (
            f"{where}: {host or 'a URL'}: keys belong into the environment, not into the URL; name "
            f"the variable in api_key_env"
        )
    return None if host else f"{where}: {url!r} is no URL"


def _clean_logs() -> None:
    """From now on no log record of any library holds a secret."""
    make = logging.getLogRecordFactory()

    def cleaned(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        try:
            said = record.getMessage()
        except Exception:  # a library's own mistake, which logging reports by itself
            return record
        if (clean := redact(said)) != said:
            record.msg, record.args = clean, ()
        return record

    logging.setLogRecordFactory(cleaned)
