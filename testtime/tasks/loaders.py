"""Rows of a data set from where they lie: the hub's files, local files, reasoning-gym.

No `datasets` library: a benchmark is a few files at a pinned revision, and reading them ourselves
works offline from the cache, needs no script of the data set's and costs nothing to import.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from testtime.errors import UserError, suggest
from testtime.tasks.spec import FileLoader, GymLoader, HubLoader

Row = dict[str, Any]
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".parquet")


def rows(
    loader: HubLoader | FileLoader | GymLoader, seed: int, limit: int | None, where: str
) -> Iterator[Row]:
    """The data set's rows in its own order. `seed` and `limit` matter to generated data sets only.

    Raises UserError naming `where` (the YAML) when files are absent, unreadable or of an unknown
    kind.
    """
    if isinstance(loader, GymLoader):
        return _gym_rows(loader, seed, limit, where)
    paths = (
        _local_files(loader, where) if isinstance(loader, FileLoader) else _hub_files(loader, where)
    )
    return itertools.chain.from_iterable(_file_rows(path, loader.records) for path in paths)


def _local_files(loader: FileLoader, where: str) -> list[Path]:
    path = Path(loader.path).expanduser()
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES))
        if not files:
            raise UserError(f"{where}: no file ending in {', '.join(SUFFIXES)} in folder {path}")
        return files
    if not path.exists():
        raise UserError(
            f"{where}: file {path} does not exist; give the path of a file ending in "
            f"{', '.join(SUFFIXES)}"
        )
    return [path]


def _hub_files(loader: HubLoader, where: str) -> list[Path]:
    import urllib.parse
    import urllib.request

    short = f"{loader.dataset} at revision {loader.revision[:12]}"
    local = 'or give a local copy: overrides {"path": "/folder/or/file"}'
    gate = (
        f"{where}: {loader.dataset} is gated: log in to the hub, accept the terms on the data "
        f"set's page, "
        f"run `hf auth login` and try again, {local}"
    )
    try:
        from huggingface_hub import constants, hf_hub_download
    except ImportError:
        raise UserError(
            f"{where}: {short} needs huggingface-hub: pip install 'testtime[hub]', {local}"
        ) from None

    def fetch(cached: bool) -> list[Path]:
        return [
            Path(
                hf_hub_download(
                    loader.dataset,
                    name,
                    repo_type="dataset",
                    revision=loader.revision,
                    local_files_only=cached,
                )
            )
            for name in loader.files
        ]

    try:
        return fetch(cached=True)
    except Exception:  # not in the cache
        pass
    try:
        if (
            not urllib.request.getproxies()
        ):  # the hub's client retries a missing network for half a minute
            socket.getaddrinfo(urllib.parse.urlsplit(constants.ENDPOINT).hostname, 443)
        return fetch(cached=False)
    except (
        Exception
    ) as error:  # one of a dozen network and permission errors, all of them "you do not have it"
        if loader.gated:
            raise UserError(gate) from None
        raise UserError(
            f"{where}: {short} is neither in the local cache nor reachable "
            f"({type(error).__name__}); "
            f"download it once with network, {local}"
        ) from None


def _file_rows(path: Path, records: str | None) -> Iterator[Row]:
    name = path.name
    if name.endswith(".parquet"):
        import pyarrow.parquet as pq

        try:
            yield from pq.read_table(path).to_pylist()
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a readable Parquet file ({error})") from None
        return
    if not name.endswith(SUFFIXES):
        raise UserError(f"{path}: unknown kind of file; known: {', '.join(SUFFIXES)}")
    opener = gzip.open if name.endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield from _text_rows(file, name.removesuffix(".gz"), path, records)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None


def _text_rows(file: IO[str], name: str, path: Path, records: str | None) -> Iterator[Row]:
    if name.endswith(".csv"):
        table = csv.DictReader(file)
        for row in table:
            if None in row:
                names = ", ".join(table.fieldnames or ())
                raise UserError(
                    f"{path} line {table.line_num}: more values than columns; the first line "
                    f"names the columns: {names}"
                )
            yield row
    elif name.endswith(".jsonl"):  # line by line: some are larger than memory
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _as_row(_json(line, f"{path} line {number}"), f"{path} line {number}")
    else:
        whole = _json(file.read(), str(path))
        rows = whole.get(records) if records and isinstance(whole, dict) else whole
        if not isinstance(rows, list):
            told = (
                f"key {records!r} holds no list"
                if records
                else "it holds no list; name the list's key in loader.records"
            )
            raise UserError(f"{path}: {told}")
        for number, row in enumerate(rows, 1):
            yield _as_row(row, f"{path} record {number}")


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON ({error})") from None


def _as_row(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object of fields, found {type(value).__name__}")
    return value


def _gym_rows(loader: GymLoader, seed: int, limit: int | None, where: str) -> Iterator[Row]:
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise UserError(
            f"{where}: reasoning-gym is not installed: pip install 'testtime[gym]'"
        ) from None
    if loader.dataset not in DATASETS:
        raise UserError(
            f"{where}: reasoning-gym has no data set "
            f"{loader.dataset!r}{suggest(loader.dataset, DATASETS)}"
        )
    fields = {field.name for field in dataclasses.fields(DATASETS[loader.dataset][1])} - {
        "seed",
        "size",
    }
    for key in loader.settings:
        if key not in fields:
            raise UserError(
                f"{where}: {loader.dataset} has no setting {key!r}{suggest(key, fields)}"
            )
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in loader.settings.items()}
    try:
        data = reasoning_gym.create_dataset(loader.dataset, seed=seed, size=loader.size, **settings)
    except (AssertionError, TypeError, ValueError) as error:
        raise UserError(
            f"{where}: reasoning-gym refuses these settings of {loader.dataset}: {error}"
        ) from None
    return (data[i] for i in range(min(loader.size, limit or loader.size)))
