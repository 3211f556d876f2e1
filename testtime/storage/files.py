"""Where the files of a run lie: a local folder (NFS too), or a folder of an object store,
`s3://bucket/folder`.

A local place is a plain `Path`; an address is a path of universal_pathlib, which has the same
methods, so that names are made in one way everywhere. What differs is here. A local file is written
under a temporary name, synced and renamed; an object is whole or absent by itself. Each store's
client raises errors of its own: they become the OSError that a disk would give, and then one clear
line. Listings never come from a cache: others write to the same folder.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import logging
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testtime.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
EXTRAS = {
    "s3": "testtime[s3]",
    "s3a": "testtime[s3]",
    "gs": "testtime[gcs]",
    "gcs": "testtime[gcs]",
}
NO_BUCKET = "bucket does not exist"
SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD")


def place(address: str | Path) -> Path:
    """A file or folder by its path or its address, `scheme://...`.

    Raises UserError when nothing installed reads such an address, and for a key inside one.
    """
    if not isinstance(address, str):
        return address
    scheme, marked, rest = address.partition("://")
    if not marked or scheme == "file":
        return Path(rest if marked else address)
    if ":" in rest.partition("/")[0].rpartition("@")[0]:
        raise UserError(
            f"{scheme}://...: holds a key; leave it out, clients take keys from the environment"
        )
    if not rest.strip("/") or rest.startswith("/"):
        raise UserError(f"{address}: names no bucket; write {scheme}://bucket/folder")
    try:
        from upath import UPath

        path: Any = UPath(address)
        client = logging.getLogger(type(path.fs).__module__.partition(".")[0])
        if (
            not client.handlers
        ):  # its tracebacks are for who asks for its log; here they become one line
            client.addHandler(logging.NullHandler())
    except (ImportError, ValueError):  # nobody knows the scheme
        needed = EXTRAS.get(scheme, "universal-pathlib and the fsspec package for them")
        raise UserError(
            f"{address}: nothing here reads {scheme}:// addresses; install {needed}"
        ) from None
    except Exception as error:  # of a client that looks for its keys when it is made
        raise UserError(f"{address}: cannot be reached ({_reason(error)})") from None
    folder: Path = path
    return folder


def _object(path: Any) -> tuple[Any, str] | None:
    """The fsspec file system of an address and the key in it; None for a local path."""
    return None if isinstance(path, Path) else (path.fs, path.path)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn a disk or a store that fails into one clear line. What is absent or damaged raises as it
    is.
    """
    try:
        with _as_disk(path):
            yield
    except OSError as error:
        if not error.errno or isinstance(error, FileNotFoundError):
            raise
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); nothing was changed"
        ) from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk or the store refuses into one clear line."""
    try:
        with _as_disk(path):
            yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and _object(path):
            error = OSError(errno.ENXIO, "there is no such bucket")
        mend = (
            "free some space"
            if error.errno in FULL
            else "make it writable, or write elsewhere with another `out`"
        )
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); {mend}; "
            "what was written before is kept, run again to resume"
        ) from None


@contextlib.contextmanager
def into(target: Path, instead: str = "another folder") -> Iterator[None]:
    """Turn what the disk refuses of a place that a command was told into one clear line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{target}: cannot be written ({error.strerror or error}); give {instead}"
        ) from None


@contextlib.contextmanager
def _as_disk(path: Path) -> Iterator[None]:
    """What a store's client raises, as the OSError that a disk would give; damage is not the
    store's, and passes.
    """
    try:
        yield
    except Exception as error:
        if _object(path) is None or isinstance(error, UserError):
            raise
        from pyarrow import ArrowException

        number = getattr(error, "errno", None)
        absent = isinstance(error, FileNotFoundError) and NO_BUCKET not in str(error)
        damage = isinstance(error, (ArrowException, ValueError)) or (
            type(error) is OSError and not number
        )
        damage = damage and not _raised_by_client(error, path)
        if absent or damage:
            raise
        raise OSError(number or errno.EIO, _reason(error)) from None


def _raised_by_client(error: Exception, path: Any) -> bool:
    """Some clients say that they are refused by a bare OSError, as pyarrow says that a file is
    damaged.
    """
    at, client = error.__traceback__, type(path.fs).__module__.partition(".")[0]
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and str(at.tb_frame.f_globals.get("__name__")).partition(".")[0] == client


def _reason(error: Exception) -> str:
    """What a client says, on one line, without any key that the environment holds."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
    for name, value in os.environ.items():
        if SECRET.search(name.upper()) and len(value) > 7:
            text = text.replace(value, "...")
    return text[:300]


def exists(path: Path) -> bool:
    """Whether there is such a file (or local folder). Raises UserError when that cannot be found
    out.
    """
    try:
        with reading(path):
            if (there := _object(path)) is None:
                return path.exists()
            there[0].invalidate_cache()
            there[0].info(there[1])
            return True
    except FileNotFoundError:
        return False


def listed(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder whose names match, sorted; none where there is no such folder."""
    if (there := _object(folder)) is None:
        return sorted(folder.glob(pattern))
    files, key = there
    try:
        with reading(folder):
            files.invalidate_cache()
            names = [name.rpartition("/")[2] for name in files.ls(key, detail=False)]
    except FileNotFoundError:
        return []
    return sorted(folder / name for name in fnmatch.filter(names, pattern))


def read(path: Path) -> bytes:
    """A whole file. Raises FileNotFoundError when it is absent, UserError when it cannot be
    read.
    """
    with reading(path):
        if (there := _object(path)) is None:
            return path.read_bytes()
        return bytes(there[0].cat_file(there[1]))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """What pyarrow and pandas read a file from: its path, or an object of which only the parts
    asked for travel.
    """
    if (there := _object(path)) is None:
        yield path
    else:
        with there[0].open(there[1], "rb", cache_type="none") as file:
            yield file


def write(path: Path, data: bytes) -> None:
    """Write a whole file: when this returns it survives a kill; before, it is as it was. Raises
    UserError.
    """
    with writing(path):
        if (there := _object(path)) is not None:
            there[0].pipe_file(there[1], data)
            return
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)


def create(path: Path, data: bytes) -> bool:
    """Write an object unless there is one; says whether it did. Raises UserError."""
    files, key = _object(path) or (None, "")
    assert files is not None
    with writing(path):
        try:
            files.pipe_file(key, data, mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            files.pipe_file(key, data)  # of a store that knows no conditions
    return True


@contextlib.contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A local folder to write files into, which end up in `folder`: itself where that is local."""
    if (there := _object(folder)) is None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="testtime-") as made:
        here = Path(made)
        yield here
        files = [file for file in here.rglob("*") if file.is_file()]
        with writing(folder):
            there[0].put(
                [str(f) for f in files],
                [f"{there[1]}/{f.relative_to(here).as_posix()}" for f in files],
            )
