"""Whether a run's tables and page still are what making them again would give: a run with nothing
to draw keeps them then.

They follow from the manifest, the stored parts (named after the hash of their bytes), the graders'
versions, and the code that makes them. A hash of all that is kept with those of the files, so that
a changed source, another library, or a page made otherwise since (`testtime report --price`) has
them made anew.
"""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path

from testtime.runs.run import TABLES, Run
from testtime.runs.verdicts import grader_id
from testtime.storage import files
from testtime.storage.store import Store
from testtime.storage.tables import SCHEMAS

RECORD = "tables/made.json"
MADE = (*(f"tables/{name}.parquet" for name in TABLES), "report/index.html")
LIBRARIES = ("matplotlib", "numpy", "pandas", "pyarrow", "scipy")
CODE = (".py", ".html", ".css", ".js")


def record(run: Run) -> None:
    """Keep what the tables and the page were made from; nothing where one is not there, or a
    verdict is still owed, as it is asked for again.
    """
    store = Store(run.path)
    if all(map(store.has, MADE)) and not run.scores["verdict"].eq("error").any():
        store.write_file(RECORD, json.dumps(_state(store)).encode())


def current(store: Store) -> bool:
    """Whether tables and page are there and were made from what is stored now, by this code."""
    if not all(map(store.has, (RECORD, *MADE))):
        return False
    try:
        return bool(json.loads(files.read(store.root / RECORD)) == _state(store))
    except ValueError:  # damaged
        return False


def _state(store: Store) -> dict[str, str]:
    manifest = store.manifest()
    specs = sorted(set(store.read("problems", ["grader"])["grader"].to_pylist()))
    sources = (
        json.dumps(manifest.plain(), sort_keys=True),
        *(part.name for table in SCHEMAS for part in store.parts(table)),
        *map(grader_id, specs),
        *(f"{name} {metadata.version(name)}" for name in LIBRARIES),
        _code(),
    )
    made = {name: _hash(files.read(store.root / name)) for name in MADE}
    return {"from": _hash("\n".join(sources).encode()), **made}


def _code() -> str:
    package = Path(__file__).parents[1]  # all of testtime
    sources = sorted(file for file in package.rglob("*") if file.suffix in CODE)
    return _hash(b"".join(file.read_bytes() for file in sources))


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()
