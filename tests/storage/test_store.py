"""The run directory: nothing acknowledged is lost, and what the disk refuses is one clear line."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testtime.errors import UserError
from testtime.storage import lock as locks
from testtime.storage import store as stores
from testtime.storage.manifest import Manifest
from testtime.storage.store import Store, as_table
from testtime.storage.tables import CallRow
from testtime.storage.writer import Writer

CONFIG = {"samples": 1, "seed": 0, "model": [], "task": []}
MANIFEST = Manifest("m", CONFIG, [])


def chain(sample: int, tokens: int = 3, **other: Any) -> CallRow:
    row = CallRow(
        f"c{sample}", f"p{sample % 5}", sample, "think", "#", 0, [], prompt_tokens=7, tokens=tokens
    )
    drawn = {"token_ids": list(range(tokens)), "logprobs": [-0.5] * tokens, "seed": 2**62 + sample}
    return replace(row, **{**drawn, **other})


def rows(store: Store, table: str = "calls") -> list[CallRow]:
    stored = [CallRow(**row) for row in store.read(table).to_pylist()]
    return sorted(stored, key=lambda row: (row.sample, row.start))


def flip(part: Path, at: int) -> None:
    data = bytearray(part.read_bytes())
    data[at] ^= 0xFF
    part.write_bytes(data)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small file system of its own: disk(options) mounts it and gives its folder; again, it
    remounts it.
    """
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def mount(options: str) -> Path:
        nonlocal mounted
        command = [
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"remount,{options}" if mounted else options,
            "tmpfs",
            str(folder),
        ]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("a small file system cannot be mounted here (needs root)")
        mounted = True
        return folder

    yield mount
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_what_was_appended_is_read_and_the_elder_of_two_equal_keys_wins(anywhere: Path) -> None:
    store = Store(anywhere)
    store.append("calls", [chain(0), chain(1)])
    store.append("calls", [chain(1, finish="length"), chain(2)])
    assert rows(Store(anywhere)) == [chain(0), chain(1), chain(2)]
    assert store.read("calls", ["tokens"]).column_names == [
        "key",
        "start",
        "tokens",
    ]


def test_a_column_that_an_older_part_lacks_is_null_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    now = as_table("calls", [chain(0, scores=[0.5])])
    store.append_table("calls", now.drop_columns(["scores"]))
    store.append("calls", [chain(1, scores=[0.25])])
    assert store.read("calls", ["scores"])["scores"].to_pylist() == [None, [0.25]]
    assert not store.mend()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 40)),
        max_size=40,
        unique_by=lambda pair: pair[0],
    ),
    st.integers(1, 120),
)
def test_parts_are_bounded_whatever_is_written_and_compaction_keeps_every_row(
    tmp_path_factory: pytest.TempPathFactory, chains: list[tuple[int, int]], bound: int
) -> None:
    store = Store(tmp_path_factory.mktemp("run"))
    wanted = [chain(sample, tokens) for sample, tokens in sorted(chains)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "PART_VALUES", bound)
        writer = Writer(store)
        for row in wanted:
            writer.add("calls", row)
        writer.flush()
        values = [
            sum(len(ids) for ids in part["token_ids"].to_pylist())
            for part in store.read_parts("calls")
        ]
        assert all(2 * count < bound + 2 * 40 for count in values)
        assert rows(store) == wanted
    store.compact("calls")
    assert len(store.parts("calls")) <= 1
    assert rows(store) == wanted


def test_compaction_does_not_grow_parts_past_their_bound(
    anywhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(anywhere)
    for sample in range(20):
        store.append("calls", [chain(sample, 30)])
    monkeypatch.setattr(stores, "PART_VALUES", 400)
    store.compact("calls")
    assert 1 < len(store.parts("calls")) < 20
    assert all(stores._weight(part) <= 400 for part in store.parts("calls"))  # type: ignore[operator]
    assert len(rows(store)) == 20


def test_a_kill_between_the_merger_and_its_sources_leaves_no_doubles(anywhere: Path) -> None:
    store = Store(anywhere)
    for sample in range(4):
        store.append("calls", [chain(sample)])
    before = {part: part.read_bytes() for part in store.parts("calls")}
    store.compact("calls")
    for part, data in before.items():
        part.write_bytes(data)
    assert len(store.parts("calls")) == 5
    assert rows(store) == [chain(sample) for sample in range(4)]
    store.compact("calls")
    assert sum(len(part) for part in store.read_parts("calls")) == 4


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(st.floats(0, 1, exclude_max=True))
def test_damage_to_any_byte_is_found_and_only_its_part_set_aside(
    anywhere: Path, where: float
) -> None:
    store = Store(anywhere, uuid.uuid4().hex)
    store.append("calls", [chain(0)])
    store.append("calls", [chain(1)])
    victim = store.parts("calls")[0]
    flip(victim, int(where * victim.stat().st_size))
    assert store.mend() == [str(victim)]
    assert victim.with_suffix(".corrupt").is_file()
    assert rows(store) == [chain(1)]
    assert store.mend() == []


def test_a_truncated_part_is_passed_over_named_and_left_to_who_holds_the_lock(
    anywhere: Path,
) -> None:
    store = Store(anywhere)
    store.append("calls", [chain(0)])
    store.append("calls", [chain(1)])
    victim = store.parts("calls")[1]
    victim.write_bytes(victim.read_bytes()[:100])
    assert rows(store) == rows(store) == [chain(0)]
    assert store.damaged == [str(victim)]
    store.compact("calls")
    assert victim.is_file()


def test_a_disk_that_fails_to_read_is_not_taken_for_damage(
    anywhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(anywhere)
    store.append("calls", [chain(0)])

    def fail(*args: Any, **kwargs: Any) -> pa.Table:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(stores.pq, "ParquetFile", fail)
    with pytest.raises(
        UserError, match=r"part-.*cannot be read .*Input/output error.*nothing was changed"
    ):
        store.read("calls")
    assert len(store.parts("calls")) == 1


def test_a_part_of_an_older_version_lacks_columns_and_is_whole(anywhere: Path) -> None:
    store = Store(anywhere)
    store.append("calls", [chain(0), chain(1)])
    (part,) = store.parts("calls")
    store.append_table("calls", store.read("calls").drop_columns(["seconds", "scores"]))
    part.unlink()
    assert [row.seconds for row in rows(store)] == [None, None] and not store.damaged
    store.append("calls", [chain(2, seconds=0.5)])
    store.compact("calls")
    assert [row.seconds for row in rows(store)] == [None, None, 0.5]


def test_rows_are_dropped_only_from_the_parts_that_hold_them(anywhere: Path) -> None:
    store = Store(anywhere)
    store.append("calls", [chain(0), chain(1)])
    store.append("calls", [chain(2), chain(3)])
    untouched = store.parts("calls")[1]
    store.filter(
        "calls", lambda part: pa.array([sample != 1 for sample in part["sample"].to_pylist()])
    )
    assert rows(store) == [chain(0), chain(2), chain(3)]
    assert untouched in store.parts("calls")


def test_a_second_writer_is_told_who_holds_the_directory(
    anywhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "BEAT", 0.1)
    refused = pytest.raises(UserError, match=rf"process {os.getpid()} on .* is writing here")
    with Store(anywhere).lock(), refused, Store(anywhere).lock():
        pass
    with Store(anywhere).lock():
        pass


def test_the_next_holder_removes_what_a_killed_writer_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append("calls", [chain(0)])
    left = tmp_path / "calls" / ".part-1.parquet.0123abcd.tmp"
    left.write_bytes(b"half")
    with store.lock():
        assert not left.exists()
    assert rows(store) == [chain(0)]


def test_a_full_disk_is_one_clear_line_and_loses_nothing(disk: Callable[[str], Path]) -> None:
    store = Store(disk("size=256k") / "run")
    writer, added = Writer(store), 0
    with pytest.raises(
        UserError, match=r"No space left on device.*free some space.*run again to resume"
    ):
        while added < 1000:
            writer.add("calls", chain(added, 2000, token_ids=list(os.urandom(2000))))
            added += 1
            writer.flush()
    kept = rows(store)
    assert [row.sample for row in kept] == list(range(added - 1))
    assert store.mend() == [] and not list(store.root.glob("*/.*.tmp"))
    disk("size=4m")
    writer.flush()  # the rows it could not write are still there
    assert [row.sample for row in rows(store)] == list(range(added))


def test_a_read_only_directory_is_one_clear_line_and_can_still_be_read(
    disk: Callable[[str], Path],
) -> None:
    store = Store(disk("size=1m") / "run")
    store.append("calls", [chain(0)])
    disk("ro")
    for write in (
        lambda: store.append("calls", [chain(1)]),
        lambda: store.lock().__enter__(),
        lambda: store.write_manifest(MANIFEST),
    ):
        with pytest.raises(
            UserError, match=r"cannot be written \(Read-only file system\); make it writable"
        ):
            write()
    assert rows(store) == [chain(0)]


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00"])
def test_a_damaged_manifest_is_named(anywhere: Path, content: str) -> None:
    (anywhere / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"run\.json: .*start a run under another name"):
        Store(anywhere).manifest()


def test_a_row_that_no_table_can_hold_takes_no_other_with_it(anywhere: Path) -> None:
    store = Store(anywhere)
    writer = Writer(store)
    for row in (chain(0), chain(1, text="\ud800 42"), chain(2, prompt_tokens=10**30), chain(3)):
        writer.add("calls", row)
    writer.flush()
    assert rows(store) == [chain(0), chain(3)]
    assert len(writer.refused) == 2 and all("calls" in line for line in writer.refused)


@pytest.mark.parametrize(("held", "said"), [(None, "older"), ({"open": []}, "older"), (3, "newer")])
def test_a_folder_of_another_format_is_refused_by_name(
    anywhere: Path, held: Any, said: str
) -> None:
    store = Store(anywhere)
    store.write_file("run.json", json.dumps({"model": "m", "format": held}).encode())
    with pytest.raises(UserError, match=f"{said} testtime.*another name"):
        store.manifest()
