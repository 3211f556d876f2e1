"""The lock of an object store: held while it is refreshed, taken over when it is not, and who lost
it stops.
"""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from tests.storage.test_store import chain, rows
from testtime.errors import UserError
from testtime.storage import lock as locks
from testtime.storage.files import place, read, write
from testtime.storage.store import Store

pytest.importorskip("upath", reason="universal-pathlib is not installed")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(locks, "BEAT", 0.05)
    monkeypatch.setattr(locks, "STALE", 0.4)
    return Store(place(f"memory://{uuid.uuid4().hex}"))


def test_the_lock_names_its_holder_is_refreshed_and_goes_with_it(store: Store) -> None:
    with store.lock():
        first = read(store.root / "lock")
        assert first.startswith(b"process ")
        time.sleep(0.5)
        assert read(store.root / "lock") != first
    assert not store.has("lock")


def test_a_holder_that_is_slow_but_alive_keeps_it_for_longer_than_it_takes_to_go_stale(
    store: Store,
) -> None:
    with store.lock():
        time.sleep(3 * locks.STALE)
        with (
            pytest.raises(UserError, match=r"process \d+ on .* is writing here"),
            Store(store.root).lock(),
        ):
            pass
        store.append("calls", [chain(0)])
    assert rows(store) == [chain(0)]


def test_what_a_killed_holder_left_is_taken_over_after_a_while_and_that_is_said(
    store: Store,
) -> None:
    write(store.root / "lock", b"process 7 on elsewhere\nmark\n0")
    said: list[str] = []
    began = time.monotonic()
    with store.lock(said.append):
        assert time.monotonic() - began >= locks.STALE
        assert b"elsewhere" not in read(store.root / "lock")
    assert len(said) == 1 and "process 7 on elsewhere left a lock here" in said[0]


def test_a_lock_that_is_released_meanwhile_is_taken_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "STALE", 60.0)
    write(store.root / "lock", b"process 7 on elsewhere\nmark\n0")
    threading.Timer(0.2, (store.root / "lock").unlink).start()
    with store.lock():
        pass


def test_who_lost_the_lock_writes_no_more_and_leaves_the_new_holder_s_alone(store: Store) -> None:
    with store.lock():
        store.append("calls", [chain(0)])
        write(store.root / "lock", b"process 7 on elsewhere\nmark\n0")
        time.sleep(0.3)
        with pytest.raises(
            UserError, match=r"process 7 on elsewhere took over.*kept, run again to resume"
        ):
            store.append("calls", [chain(1)])
    assert rows(store) == [chain(0)]
    assert read(store.root / "lock") == b"process 7 on elsewhere\nmark\n0"


def test_of_many_that_find_a_stale_lock_at_most_one_goes_on(store: Store) -> None:
    write(store.root / "lock", b"process 7 on elsewhere\nmark\n0")
    kept: list[int] = []

    def take(number: int) -> None:
        mine = Store(store.root)
        try:
            with mine.lock():
                time.sleep(0.5)
                mine.append("calls", [chain(number)])
                kept.append(number)
        except UserError:
            return

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 1 and rows(store) == [chain(kept[0])]
