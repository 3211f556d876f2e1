"""A run on a real S3 server, started here: killed, cut off, resumed, read; nothing lost or
double.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_app import typed
from testtime.errors import UserError
from testtime.storage.store import KEYS, Store

servers = pytest.importorskip("moto.server", reason="moto[server] is not installed")
s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEY = "a-secret-that-nobody-may-print"
RUN = "s3://bucket/runs/study/quickstart"
CONFIG = """\
task: {name: chain_sum, limit: 40}
model: quickstart
engine: {name: transformers, max_num_seqs: 16}
thinking: {budgets: [0, 8, 16, 32, 96]}
answer: {max_tokens: 8}
samples: 48
resamples: 100
out: s3://bucket/runs
"""
CHAINS = 40 * 48


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A server with an empty bucket, and an environment that leads every client to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    made = servers.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    made.start()
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("bucket")
    (tmp_path / "study.yaml").write_text(CONFIG)
    yield made
    s3fs.S3FileSystem().rm("bucket", recursive=True)  # the server's memory is this process's
    made.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def started(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "testtime", "run", "study.yaml"]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    while not what():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.5)


def pool(store: Store) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Every stored row by table and key; fails on doubles within what is read as one table."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for table in ("calls", "attempts"):
        rows = store.read(table).to_pylist()
        found |= {(table, *(row[name] for name in KEYS[table])): row for row in rows}
    return found


def chains(stored: dict[tuple[Any, ...], dict[str, Any]]) -> int:
    """Chains among stored rows: the table of calls holds answers too, and a chain in parts."""
    calls = [row for key, row in stored.items() if key[0] == "calls"]
    return sum(row["kind"] == "think" and row["start"] == 0 for row in calls)


def ends_with_one_line(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode == 2, done.stderr
    last = [line for line in done.stderr.splitlines() if line.startswith("testtime: ")]
    assert len(last) == 1 and said in last[0], done.stderr
    assert "Traceback" not in done.stderr and KEY not in done.stdout + done.stderr


def test_a_run_is_killed_and_cut_off_and_ends_complete(server: Any, tmp_path: Path) -> None:
    store = Store(RUN)
    first = started(tmp_path)
    wait_for(lambda: store.parts("calls"), first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    acknowledged = pool(store)
    assert acknowledged and store.has("lock")
    status = json.loads(typed("status", RUN, "--json", cwd=tmp_path).stdout)
    assert 0 < status["begun"] < status["wanted"] == CHAINS and not status["tables"]

    second = started(tmp_path)  # the store goes away under it
    wait_for(lambda: len(pool(store)) > len(acknowledged), second)
    server.stop()
    said = second.communicate(timeout=300)[0]
    assert (
        second.returncode == 2
        and "left a lock here" in said
        and "Traceback" not in said
        and KEY not in said
    )
    assert said.strip().splitlines()[-1].startswith("testtime: s3://bucket/runs/study/quickstart/")
    server.start()
    stored = pool(store)
    assert acknowledged.items() <= stored.items() and chains(stored) < CHAINS

    done = typed("run", "study.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"report: {RUN}/report" in done.stdout
    whole = pool(store)
    assert stored.items() <= whole.items()
    keys = [
        tuple(row.values())
        for part in store.read_parts("calls", KEYS["calls"])
        for row in part.to_pylist()
    ]
    assert len(keys) == len(set(keys)) and chains(whole) == CHAINS
    assert not store.has("lock") and not store.set_aside() and len(store.parts("calls")) == 1

    for words in (
        ["grade", RUN],
        ["report", RUN],
        ["compare", RUN],
        ["laws", "testtime", RUN],
        ["show", RUN, "chain_sum/0/3", "--sample", "0"],
        ["export", "tidy", RUN, "exported"],
        ["run", "study.yaml"],
    ):
        done = typed(*words, cwd=tmp_path)
        assert done.returncode == 0 and done.stdout.strip(), (words, done.stderr)
    assert "nothing to draw" in done.stderr and pool(store) == whole
    assert json.loads(typed("status", RUN, "--json", cwd=tmp_path).stdout)["tables"]
    page = s3fs.S3FileSystem().cat_file(f"{RUN}/report/index.html")
    assert (
        len(page) > 100_000
        and KEY.encode() not in page
        and KEY not in json.dumps(store.manifest().plain())
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exported", "study.yaml"]


def test_two_writers_and_addresses_that_lead_nowhere_are_one_line(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(RUN).lock():
        ends_with_one_line(typed("run", "study.yaml", cwd=tmp_path), f"process {os.getpid()} on")
    ends_with_one_line(typed("status", "s3://bucket/elsewhere", cwd=tmp_path), "no run here")
    ends_with_one_line(
        typed("run", "study.yaml", "--set", "out=s3://nowhere", cwd=tmp_path),
        "bucket does not exist",
    )
    for words in (["status"], ["grade"], ["report"], ["show"], ["compare"], ["laws", "testtime"]):
        ends_with_one_line(typed(*words, "s3://nowhere/run", cwd=tmp_path), "bucket does not exist")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    for words in (["run", "study.yaml"], ["status", RUN]):
        ends_with_one_line(typed(*words, cwd=tmp_path), "Unable to locate credentials")
    with pytest.raises(UserError, match=r"holds a key"):
        Store(f"s3://testing:{KEY}@bucket/run")
