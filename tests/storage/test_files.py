"""Addresses: what cannot be reached is one clear line without any key, and never taken for absence
or damage.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.storage.test_store import MANIFEST, chain, rows
from testtime.errors import UserError
from testtime.storage import files as places
from testtime.storage.files import place
from testtime.storage.store import Store

pytest.importorskip("upath", reason="universal-pathlib is not installed")


class ClientError(Exception):
    """As botocore's: no OSError at all."""


@pytest.fixture
def store() -> Store:
    found = Store("memory://runs", "study")
    found.append("calls", [chain(0)])
    return found


def fail(monkeypatch: pytest.MonkeyPatch, error: Exception, *names: str) -> None:
    """The store in memory raises `error` from these methods."""
    from fsspec.implementations.memory import MemoryFileSystem

    def raises(*args: Any, **kwargs: Any) -> Any:
        raise error

    for name in names:
        monkeypatch.setattr(MemoryFileSystem, name, raises)


def test_a_bare_oserror_of_the_client_itself_is_no_damage(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gcsfs says so that it is refused; pyarrow says so that a file is damaged."""
    from fsspec.implementations.memory import MemoryFileSystem

    code = compile(
        "def cat_file(self, *args, **kwargs):\n    raise OSError('Forbidden: bucket')",
        "client",
        "exec",
    )
    client: dict[str, Any] = {"__name__": "fsspec.implementations.memory"}
    exec(code, client)
    monkeypatch.setattr(MemoryFileSystem, "cat_file", client["cat_file"])
    with pytest.raises(UserError, match=r"cannot be read \(Forbidden: bucket\)"):
        places.read(store.root / "calls")


@pytest.mark.parametrize("path", ["runs/x", "/tmp/runs", "./a:b/c", "~"])
def test_a_path_without_a_scheme_is_a_local_path_as_it_was_written(path: str) -> None:
    assert place(path) == Path(path) and type(place(path)) is type(Path())
    assert place(f"file://{path}") == Path(path)


def test_an_address_is_kept_as_it_was_written_and_grows_like_a_path() -> None:
    found = place("memory://bucket/runs") / "study" / "model"
    assert str(found) == "memory://bucket/runs/study/model" and place(found) is found
    assert Store("memory://bucket", "a", "b").root.name == "b"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "nonsense://bucket/run",
            r"nothing here reads nonsense:// addresses; install universal-pathlib and",
        ),
        ("s3://", r"names no bucket; write s3://bucket/folder"),
        ("s3:///folder", r"names no bucket"),
        ("s3://id:topsecret@bucket/run", r"s3://\.\.\.: holds a key; leave it out"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(address: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        place(address)
    assert "topsecret" not in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("gcsfs") is not None, reason="gcsfs is installed")
def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(
        UserError,
        match=r"gs://bucket/run: nothing here reads gs:// addresses; install testtime\[gcs\]",
    ):
        place("gs://bucket/run")


def test_a_store_out_of_reach_is_one_line_without_keys(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_SECRET_KEY", "abcdefgh1234")
    fail(
        monkeypatch,
        ClientError("denied\nfor abcdefgh1234"),
        "ls",
        "info",
        "cat_file",
        "pipe_file",
        "_open",
        "put",
    )
    for work, said in (
        (lambda: store.exists, "cannot be read"),
        (store.manifest, "cannot be read"),
        (lambda: store.parts("calls"), "cannot be read"),
        (lambda: store.lock().__enter__(), "cannot be read"),
        (lambda: store.write_manifest(MANIFEST), "cannot be written"),
        (lambda: store.append("calls", [chain(1)]), "cannot be written"),
    ):
        with pytest.raises(UserError, match=rf"memory://runs/study.*{said} \(denied for \.\.\.\)"):
            work()


@pytest.mark.parametrize(
    "error", [ClientError("reset"), PermissionError("reset"), TimeoutError("reset")]
)
def test_a_store_that_fails_to_read_is_not_taken_for_damage(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with monkeypatch.context() as patch:
        fail(patch, error, "_open", "cat_file")
        for work in (lambda: store.read("calls"), store.mend, lambda: store.compact("calls")):
            with pytest.raises(UserError, match=r"part-.*\(reset\)"):
                work()
    assert rows(store) == [chain(0)] and not store.damaged and not store.set_aside()


def test_absent_is_told_from_a_bucket_that_is_not_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not store.exists and not Store("memory://nowhere").parts("calls")
    with pytest.raises(UserError, match="no run here"):
        store.manifest()
    with monkeypatch.context() as patch:  # a store that does not say what is not there
        fail(patch, FileNotFoundError("bucket/key"), "pipe_file")
        with pytest.raises(UserError, match=r"cannot be written \(there is no such bucket\)"):
            store.write_manifest(MANIFEST)
    fail(
        monkeypatch,
        FileNotFoundError("The specified bucket does not exist"),
        "info",
        "cat_file",
        "ls",
    )
    for work in (lambda: store.exists, store.manifest, lambda: store.parts("calls")):
        with pytest.raises(
            UserError, match=r"cannot be read \(The specified bucket does not exist\)"
        ):
            work()


def test_a_folder_is_filled_where_it_lies(anywhere: Path) -> None:
    with places.filling(anywhere / "report") as here:
        (here / "figures").mkdir(parents=True)
        (here / "figures" / "a.svg").write_text("<svg/>")
        (here / "index.html").write_text("page")
    assert places.read(anywhere / "report" / "figures" / "a.svg") == b"<svg/>"
    assert [path.name for path in places.listed(anywhere / "report", "*.html")] == ["index.html"]


def test_only_the_columns_asked_for_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFile

    store = Store("memory://columns")
    store.append(
        "calls",
        [
            chain(sample, 20_000, token_ids=list(range(sample, 20_000 + sample)))
            for sample in range(8)
        ],
    )
    read = 0
    whole = MemoryFile.read

    def counted(self: Any, *args: Any) -> bytes:
        nonlocal read
        data = whole(self, *args)
        read += len(data)
        return data

    monkeypatch.setattr(MemoryFile, "read", counted)
    assert len(store.read("calls", ["tokens"])) == 8
    size = store.parts("calls")[0].stat().st_size
    assert size > 100_000 and 0 < read < size / 2
