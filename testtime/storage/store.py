"""What is kept: the run directory.

    run.json                    what these rows are (identity), the config, one entry for each
    session problems/ chains/ answers/ grades/   Parquet parts (zstd) tables/ report/
    what analysis wrote

The directory is a local folder or an address such as s3://bucket/folder (see `places`). A part is
whole or absent, and any number of workers can write side by side. The key of a row is the content
that determines it; reading drops doubles by key, so a crash between writing a compacted part and
deleting its sources costs nothing. A part's name holds the hash of its bytes, so that damage is
found wherever it lies; a damaged part is passed over when reading, and who holds the lock sets it
aside as `*.corrupt` (see `mend`). Nothing here holds more than one part in memory, unless whole
columns are asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from testtime.errors import UserError
from testtime.redact import redact_tree
from testtime.storage import files as places
from testtime.storage import lock as locks
from testtime.storage.files import reading, writing
from testtime.storage.manifest import FORMAT, Manifest, read_manifest
from testtime.storage.tables import KEYS, SCHEMAS, Row

if TYPE_CHECKING:
    import pandas as pd

# values (ids, log-probabilities) a part may hold: 32 MB, so that it always fits in memory
PART_VALUES = 8_000_000
PART_ROWS = 100_000
_NAME = re.compile(r"part-\d{20}-([0-9a-f]{16})\.parquet")


class Store:
    """One run directory. Creating a Store creates nothing; the first write makes the folder."""

    def __init__(self, root: str | Path, *below: str) -> None:
        """root: a folder or its address; below: names of folders in it."""
        self.root = places.place(root).joinpath(*below)
        self.damaged: list[str] = []  # parts that were passed over
        self._check: locks.Check = lambda: None

    # The manifest and other files

    @property
    def exists(self) -> bool:
        return self.has("run.json")

    def manifest(self) -> Manifest:
        """run.json. Raises UserError when the folder is no run directory, when the file is damaged,
        and when another version of testtime wrote it in another format.
        """
        path = self.root / "run.json"
        trouble = "it holds nothing"
        try:
            data = json.loads(places.read(path))
        except FileNotFoundError:
            raise UserError(
                f"{self.root}: no run here (no run.json); give a folder that `testtime run` or "
                f"`import` wrote"
            ) from None
        except (ValueError, RecursionError) as error:
            data, trouble = None, str(error)
        if isinstance(data, dict) and (held := data.get("format")) != FORMAT:
            newer = isinstance(held, int) and held > FORMAT
            raise UserError(
                f"{self.root}: a run of {'a newer' if newer else 'an older'} testtime (its format "
                f"is not {FORMAT}); {'update testtime' if newer else 'read it with testtime 0.1'},"
                " or start a run under another name"
            )
        if data is not None:
            try:
                return read_manifest(data)
            except ValueError as error:
                trouble = str(error)
        raise UserError(
            f"{path}: damaged ({trouble}); restore it, or start a run under another name"
        )

    def write_manifest(self, manifest: Manifest) -> None:
        whole = redact_tree(manifest.plain())
        self.write_file("run.json", json.dumps(whole, indent=2, ensure_ascii=False).encode())

    def has(self, name: str) -> bool:
        """Whether the run has this file."""
        return places.exists(self.root / name)

    def frame(self, name: str, filters: Any = None) -> pd.DataFrame:
        """A Parquet file of the run as a pandas table. Raises UserError when it cannot be read."""
        import pandas as pd

        path = self.root / name
        try:
            with reading(path), places.opened(path) as source:
                return pd.read_parquet(source, filters=filters)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UserError(
                f"{path}: cannot be read ({error}); make it again with `testtime grade` or `import`"
            ) from None

    def write_file(self, name: str, data: bytes) -> Path:
        """Write one file of the run, whole or not at all; returns its path. Raises UserError when
        the disk refuses.
        """
        self._check()
        places.write(self.root / name, data)
        return self.root / name

    @contextlib.contextmanager
    def lock(self, say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
        """Hold the run directory for writing. Raises UserError naming the holder when another
        process has it.

        say: is told when that takes a while to find out.
        """
        with locks.hold(self.root, say) as self._check:
            yield

    # Parts

    def parts(self, table: str) -> list[Path]:
        return places.listed(self.root / table, "part-*.parquet")

    def set_aside(self, *tables: str) -> list[Path]:
        """The damaged parts that `mend` has set aside, of all tables unless some are named."""
        return [
            part
            for table in tables or SCHEMAS
            for part in places.listed(self.root / table, "*.corrupt")
        ]

    def append(self, table: str, rows: Sequence[Row]) -> None:
        """Write rows as one part. When this returns they survive a kill."""
        if rows:
            self.append_table(table, as_table(table, rows))

    def append_table(self, table: str, data: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(data, sink, compression="zstd", write_page_checksum=True)
        whole = sink.getvalue().to_pybytes()
        digest = hashlib.blake2b(whole, digest_size=8).hexdigest()
        # Names sort by time, so that the first of two equal keys is the elder.
        self.write_file(f"{table}/part-{time.time_ns():020d}-{digest}.parquet", whole)

    def replace(self, table: str, rows: Sequence[Row]) -> None:
        """Put rows in the place of a whole (small) table."""
        old = self.parts(table)
        self.append(table, rows)
        _remove(old)

    def read_parts(
        self, table: str, columns: Sequence[str] | None = None, filters: Any = None
    ) -> Iterator[pa.Table]:
        """A table part by part, for what may not fit in memory. A damaged part is passed over and
        named in `damaged`.

        Raises UserError when the disk refuses.
        """
        for part in self.parts(table):
            if (data := self._read_part(table, part, columns, filters)) is not None:
                yield data

    def _read_part(
        self, table: str, part: Path, columns: Sequence[str] | None = None, filters: Any = None
    ) -> pa.Table | None:
        try:
            with (
                reading(part),
                places.opened(part) as source,
            ):  # a failing disk raises: the rows may be whole
                schema = SCHEMAS[table]  # a column that older parts lack is null there
                if filters is None:  # pq.read_table imports pandas
                    return _whole(source, _chosen(schema, columns))
                return pq.read_table(
                    source,
                    schema=schema,
                    columns=columns,
                    filters=filters,
                    page_checksum_verification=True,
                    partitioning=None,
                )
        except FileNotFoundError:
            return None  # compacted meanwhile by another worker
        except (pa.ArrowException, OSError, ValueError):
            if str(part) not in self.damaged:
                self.damaged.append(str(part))
            return None

    def read(
        self, table: str, columns: Sequence[str] | None = None, filters: Any = None
    ) -> pa.Table:
        """A whole table (chosen columns), doubles dropped by key."""
        wanted = None if columns is None else list(dict.fromkeys([*KEYS[table], *columns]))
        schema = _chosen(SCHEMAS[table], wanted)
        tables = list(self.read_parts(table, wanted, filters))
        whole = pa.concat_tables(tables) if tables else schema.empty_table()
        return _unique(whole.combine_chunks(), KEYS[table])

    # Upkeep, under the lock

    def mend(self) -> list[str]:
        """Set damaged parts aside as `*.corrupt`: every byte is checked. Returns their names."""
        damaged = []
        for part in (part for table in SCHEMAS for part in self.parts(table)):
            named = _NAME.fullmatch(part.name)
            with writing(part):
                with part.open("rb") as file:
                    digest = hashlib.file_digest(
                        file, lambda: hashlib.blake2b(digest_size=8)
                    ).hexdigest()
                if (named and digest != named[1]) or _weight(part) is None:
                    part.rename(part.with_suffix(".corrupt"))
                    damaged.append(str(part))
        return damaged

    def filter(self, table: str, keep: Callable[[pa.Table], pa.Array]) -> None:
        """Drop the rows where `keep(part)` is false, rewriting only parts that hold some."""
        for part in self.parts(table):
            data = self._read_part(table, part)
            if data is not None and not all(mask := keep(data).to_pylist()):
                self.append_table(table, data.filter(pa.array(mask)))
                _remove([part])

    def compact(self, table: str) -> None:
        """Merge small parts into bounded ones. Safe against kills: sources go after their merger is
        in place.
        """
        batch: list[pa.Table] = []
        sources: list[Path] = []
        weight = 0
        for part in self.parts(table):
            size = _weight(part)
            if (
                size is None
                or size >= PART_VALUES // 2
                or (data := self._read_part(table, part)) is None
            ):
                continue
            if weight + size > PART_VALUES and len(sources) > 1:
                self._merge(table, batch, sources)
                batch, sources, weight = [], [], 0
            batch.append(data)
            sources.append(part)
            weight += size
        if len(sources) > 1:
            self._merge(table, batch, sources)

    def _merge(self, table: str, batch: Sequence[pa.Table], sources: Sequence[Path]) -> None:
        data = _unique(pa.concat_tables(batch).combine_chunks(), KEYS[table])
        self.append_table(table, data.sort_by([(key, "ascending") for key in KEYS[table]]))
        _remove(sources)


def as_table(table: str, rows: Sequence[Row]) -> pa.Table:
    """Rows in their table's schema."""
    columns = {f.name: [getattr(row, f.name) for row in rows] for f in fields(rows[0])}
    return pa.Table.from_pydict(columns, schema=SCHEMAS[table])


def row_codes(table: pa.Table, columns: Sequence[str]) -> np.ndarray:
    """A number for each row, (rows,), equal where all of these columns are."""
    codes = np.zeros(len(table), np.int64)
    for name in columns:
        values, which = encoded(table[name])
        _, codes = np.unique(codes * len(values) + which, return_inverse=True)
    return codes


def encoded(column: pa.ChunkedArray) -> tuple[list[Any], np.ndarray]:
    """The distinct values of a column, and of each row the place of its own, (rows,)."""
    # by DLPack, because `to_numpy` imports pandas
    codes = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return codes.dictionary.to_pylist(), np.from_dlpack(codes.indices)


def _chosen(schema: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])


def _whole(source: Any, schema: pa.Schema) -> pa.Table:
    """These columns of a Parquet file, those that it lacks as nulls."""
    with pq.ParquetFile(source, page_checksum_verification=True) as file:
        held = [name for name in schema.names if name in file.schema_arrow.names]
        data = file.read(columns=held)
    rows = data.num_rows if held else file.metadata.num_rows
    columns = [
        data[f.name].cast(f.type) if f.name in held else pa.nulls(rows, f.type) for f in schema
    ]
    return pa.table(columns, schema=schema)


def _remove(parts: Sequence[Path]) -> None:
    for part in parts:
        with writing(part):
            part.unlink(missing_ok=True)


def _unique(table: pa.Table, keys: list[str]) -> pa.Table:
    """First row of each key, in order."""
    if not len(table):
        return table
    _, first = np.unique(row_codes(table, keys), return_index=True)
    return table if len(first) == len(table) else table.take(np.sort(first))


def _weight(part: Path) -> int | None:
    """Roughly the values in a part, from its footer; None when that cannot be read."""
    try:
        with reading(part), places.opened(part) as source:
            meta = pq.read_metadata(source)
    except (pa.ArrowException, OSError):
        return None
    groups = map(meta.row_group, range(meta.num_row_groups))
    return sum(int(group.column(c).num_values) for group in groups for c in range(meta.num_columns))
