"""Names of models, tasks and levels as names of files and folders, and as text in a figure.

A model may be called anything: `org/model`, `模型`, `../..`, `$\\frac$`. Two names never share a
file, and the name can be read back from it.
"""

from __future__ import annotations

import hashlib
import re

LONGEST = 150  # bytes of a file's name; file systems take 255, and a suffix may follow
_PLAIN = re.compile(r"[A-Za-z0-9._-]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", re.IGNORECASE)


def file_name(name: str) -> str:
    """A name as one file's name in plain ASCII: different for different names.

    Letters, digits, dots, dashes and underscores stay, a slash becomes `--` (as the Hugging Face
    hub's cache writes it), everything else, and what could be mistaken for these, is escaped as in
    a URL. `original` reads it back, except where it had to be cut to LONGEST: there a hash keeps it
    unique. Example: `org/模型` is `org--%E6%A8%A1%E5%9E%8B`.
    """
    encoded = []
    for at, char in enumerate(name):
        beside = name[at - 1 : at] + name[at + 1 : at + 2] if at else name[1:2]
        if char == "/":
            encoded.append("--")
        elif (
            not _PLAIN.fullmatch(char)
            or (char == "-" and ("-" in beside or "/" in beside))
            or (char == "." and at in (0, len(name) - 1))
        ):
            encoded += [f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass")]
        else:
            encoded.append(char)
    whole = "".join(encoded) or "%"
    if len(whole) <= LONGEST:
        return whole
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    return f"{whole[: LONGEST - 22].rstrip('%')}%~{digest}"


def original(encoded: str) -> str:
    """The name that `file_name` gave this file. Raises ValueError for one that was cut."""
    if "%~" in encoded:
        raise ValueError(f"{encoded} was too long to be kept whole")
    if encoded == "%":
        return ""
    data = encoded.replace("--", "/").encode()
    plain = re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), data)
    return plain.decode("utf-8", "surrogatepass")


def storable(text: str) -> str:
    """A text that Parquet and every terminal can hold: halves of surrogate pairs, which JSON can
    carry and Unicode cannot, become a replacement character.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def shown(name: str) -> str:
    """A name as people see it on a terminal, in a page or a table: no control characters."""
    return _CONTROL.sub("\ufffd", name)


def in_figure(name: str) -> str:
    """A name as a label of matplotlib's: never mathtext, and no character that SVG cannot hold."""
    return shown(name).replace("$", r"\$")


def in_csv(value: object) -> object:
    """A CSV cell that no spreadsheet takes for a formula: texts that begin like one, and are no
    number, get an apostrophe in front. `from_csv` takes it away.
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def from_csv(value: object) -> object:
    """What `in_csv` was given."""
    if isinstance(value, str) and value.startswith("'") and _FORMULA.match(value):
        return value[1:]
    return value
