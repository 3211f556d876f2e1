"""What is kept: the run directory.

    run.json                    what these rows are (identity), the config, one entry for each session
    problems/ chains/ answers/ grades/   Parquet parts (zstd)
    tables/ report/             what analysis wrote

A part is written under a temporary name and renamed, so it is whole or absent, and any number of workers can write side by
side. The key of a row is the content that determines it; reading drops doubles by key, so a crash between writing a
compacted part and deleting its sources costs nothing. A part that cannot be read is set aside as `*.corrupt`, named, and only
its rows are drawn again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from testtime.errors import UserError

_TOKENS = pa.list_(pa.int32())
_LOGPROBS = pa.list_(pa.float32())
SCHEMAS: dict[str, pa.Schema] = {
    "problems": pa.schema(
        {"problem_id": pa.string(), "task": pa.string(), "question": pa.string(), "gold": pa.string(), "prompt": pa.string(),
         "prompt_ids": _TOKENS, "grader": pa.string(), "meta": pa.string()}
    ),
    # A chain may have several rows: each continues it from token `start`, when a later run asked for a larger budget.
    "chains": pa.schema(
        {"problem_id": pa.string(), "sample": pa.int32(), "variant": pa.string(), "start": pa.int32(), "token_ids": _TOKENS,
         "logprobs": _LOGPROBS, "tokens": pa.int32(), "finish": pa.string(), "seed": pa.int64(), "prompt_tokens": pa.int32(),
         "cached_tokens": pa.int32()}
    ),
    # The log-probability columns hold what selectors weigh by, so that analysis never opens the chains' token lists.
    "answers": pa.schema(
        {"problem_id": pa.string(), "sample": pa.int32(), "variant": pa.string(), "cut": pa.int32(), "spec": pa.string(),
         "forced": pa.bool_(), "token_ids": _TOKENS, "tokens": pa.int32(), "text": pa.string(), "finish": pa.string(),
         "logprob_mean": pa.float32(), "logprob_min": pa.float32(), "answer_logprob": pa.float32(), "seed": pa.int64(),
         "prompt_tokens": pa.int32(), "cached_tokens": pa.int32()}
    ),
    "grades": pa.schema(
        {"key": pa.string(), "verdict": pa.string(), "extracted": pa.string(), "answer_key": pa.string(), "version": pa.string(),
         "detail": pa.string()}
    ),
}  # fmt: skip
KEYS: dict[str, list[str]] = {
    "problems": ["problem_id"],
    "chains": ["problem_id", "sample", "variant", "start"],
    "answers": ["problem_id", "sample", "variant", "cut", "spec"],
    "grades": ["key"],
}
FLUSH_SECONDS = 5.0  # at most this much work is lost to a kill
PART_TOKENS = 8_000_000  # tokens a part may hold, so that a part always fits in memory
PART_ROWS = 100_000
Row = Mapping[str, Any]


class Store:
    """One run directory. Creating a Store creates nothing; the first write makes the folder."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.set_aside: list[str] = []

    # The manifest

    @property
    def exists(self) -> bool:
        return (self.root / "run.json").is_file()

    def manifest(self) -> dict[str, Any]:
        """run.json. Raises UserError when the folder is no run directory or the file is damaged."""
        path = self.root / "run.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self.root}: no run here (no run.json); give a folder that `testtime run` or `import` wrote"
            ) from None
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path}: cannot be read ({error}); restore it, or start a run under another name"
            ) from None
        if not isinstance(data, dict):
            raise UserError(f"{path}: not a run's manifest; restore it, or start a run under another name")
        return data

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        self.write_file("run.json", json.dumps(manifest, indent=2, ensure_ascii=False).encode())

    def write_file(self, name: str, data: bytes) -> Path:
        """Write one file of the run atomically; returns its path. Raises UserError when the folder cannot be written."""
        path = self.root / name
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.rename(path)
            finally:
                temporary.unlink(missing_ok=True)
        return path

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run directory for writing. Raises UserError naming the holder when another process has it."""
        path = self.root / "lock"
        with writing(path):
            self.root.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise UserError(f"{self.root}: {holder} is writing here; wait for it, or use another name") from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield

    # Parts

    def parts(self, table: str) -> list[Path]:
        return sorted((self.root / table).glob("part-*.parquet"))

    def append(self, table: str, rows: Sequence[Row]) -> None:
        """Write rows as one part. When this returns they survive a kill."""
        if rows:
            self._write_part(table, pa.Table.from_pylist(list(rows), schema=SCHEMAS[table]))

    def replace(self, table: str, rows: Sequence[Row]) -> None:
        """Put rows in the place of a whole (small) table."""
        old = self.parts(table)
        self.append(table, rows)
        for part in old:
            part.unlink(missing_ok=True)

    def _write_part(self, table: str, data: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(data, sink, compression="zstd", write_page_checksum=True)
        # Names sort by time, so that the first of two equal keys is the elder.
        self.write_file(
            f"{table}/part-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet", sink.getvalue().to_pybytes()
        )

    def read_parts(self, table: str, columns: Sequence[str] | None = None, filters: Any = None) -> Iterator[pa.Table]:
        """A table part by part, for what may not fit in memory. A damaged part is set aside and its name kept."""
        for part in self.parts(table):
            try:
                yield pq.read_table(
                    part, columns=columns, filters=filters, page_checksum_verification=True, partitioning=None
                )
            except FileNotFoundError:
                continue  # compacted meanwhile by another worker
            except (pa.ArrowException, OSError, ValueError):
                with contextlib.suppress(OSError):
                    part.rename(part.with_suffix(".corrupt"))
                self.set_aside.append(str(part))

    def read(self, table: str, columns: Sequence[str] | None = None, filters: Any = None) -> pa.Table:
        """A whole table (chosen columns), doubles dropped by key."""
        wanted = None if columns is None else list(dict.fromkeys([*KEYS[table], *columns]))
        schema = SCHEMAS[table] if wanted is None else pa.schema([SCHEMAS[table].field(name) for name in wanted])
        tables = list(self.read_parts(table, wanted, filters))
        return _unique(pa.concat_tables([schema.empty_table(), *tables]).combine_chunks(), KEYS[table])

    def compact(self, table: str) -> None:
        """Merge small parts into parts of bounded size. Safe against kills: sources go after their merger is in place."""
        batch: list[pa.Table] = []
        sources: list[Path] = []
        weight = 0
        for part in self.parts(table):
            size = _weight(part)
            if size is None or size >= PART_TOKENS // 2:
                continue
            if weight + size > PART_TOKENS and len(sources) > 1:
                self._merge(table, batch, sources)
                batch, sources, weight = [], [], 0
            batch.append(pq.read_table(part, partitioning=None))
            sources.append(part)
            weight += size
        if len(sources) > 1:
            self._merge(table, batch, sources)

    def _merge(self, table: str, batch: Sequence[pa.Table], sources: Sequence[Path]) -> None:
        data = _unique(pa.concat_tables(batch).combine_chunks(), KEYS[table])
        self._write_part(table, data.sort_by([(key, "ascending") for key in KEYS[table]]))
        for part in sources:
            part.unlink(missing_ok=True)


class Writer:
    """Collects rows and appends them as parts, every few seconds or when a part is full."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[str, list[Row]] = {}
        self._tokens = 0
        self._since = time.monotonic()

    def add(self, table: str, row: Row) -> None:
        self._rows.setdefault(table, []).append(row)
        self._tokens += len(row.get("token_ids", ()))
        count = sum(map(len, self._rows.values()))
        if self._tokens >= PART_TOKENS or count >= PART_ROWS or time.monotonic() - self._since >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        for table in list(self._rows):
            self._store.append(table, self._rows[table])
            del self._rows[table]  # only what is on disk is forgotten
        self._tokens, self._since = 0, time.monotonic()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into one clear line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); what was written before is kept, run again to resume"
        ) from None


def _unique(table: pa.Table, keys: list[str]) -> pa.Table:
    """First row of each key, in order."""
    if not len(table):
        return table
    numbered = table.select(keys).append_column("__row", pa.array(range(len(table)), pa.int64()))
    first = numbered.group_by(keys, use_threads=False).aggregate([("__row", "min")])["__row_min"]
    return table if len(first) == len(table) else table.take(first.combine_chunks().sort())


def _weight(part: Path) -> int | None:
    """Roughly the values in a part, from its footer; None when that cannot be read."""
    try:
        meta = pq.read_metadata(part)
    except (pa.ArrowException, OSError):
        return None
    return sum(
        meta.row_group(g).column(c).num_values for g in range(meta.num_row_groups) for c in range(meta.num_columns)
    )
