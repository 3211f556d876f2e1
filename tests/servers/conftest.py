"""Servers that nobody here wrote, started for a test module on loopback and stopped with all their
children. `make servers` makes an environment for each, since their pins conflict; TESTTIME_SERVERS
names the folder of these environments.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import evaluated
from testtime.pipeline import Progress, Run
from testtime.storage.store import Store

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("TESTTIME_SERVERS", ROOT / ".servers"))
STARTING = 300.0  # seconds
Start = Callable[..., str]


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """They need minutes and other environments, so neither `make test` nor `make test-all` has
    them.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.servers)
            item.add_marker(pytest.mark.timeout(900))


def environment(name: str) -> Path:
    """The folder of programs of a server's environment; skips where it was not made."""
    if not (FOLDER / name / "bin" / "python").exists():
        pytest.skip(f"no environment {FOLDER / name}; `make servers` makes it")
    return FOLDER / name / "bin"


def own(*modules: str) -> Path:
    """This environment's folder of programs; skips where it lacks a module."""
    for module in modules:
        if util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    return Path(sys.executable).parent


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """start(command, health, **environment): runs a command in which PORT stands for a free port,
    waits until health answers 200, and gives the base URL http://127.0.0.1:PORT.
    """
    import httpx

    processes: list[subprocess.Popen[bytes]] = []

    def run(command: Sequence[object], health: str, **variables: str) -> str:
        number = port()
        url = f"http://127.0.0.1:{number}"
        log = tmp_path_factory.mktemp("server") / "log"
        environ = {**os.environ, "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1", **variables}
        environ.pop("PYTHONPATH", None)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [
                    str(part).replace("METRICS", str(port())).replace("PORT", str(number))
                    for part in command
                ],
                env=environ,
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd=log.parent,
            )
        processes.append(process)
        end = time.monotonic() + STARTING
        while time.monotonic() < end and process.poll() is None:
            try:
                if httpx.get(url + health, timeout=5).status_code == 200:
                    return url
            except httpx.HTTPError:
                pass
            time.sleep(0.5)
        pytest.fail(f"{command[0]} did not start:\n{log.read_text()[-3000:]}")

    yield run
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def config(out: Path, url: str, **changes: Any) -> dict[str, Any]:
    """Two chain sums, twice, asked by messages; args: of the engine, beside its urls."""
    args: Mapping[str, Any] = changes.pop("args", {})
    return {
        "name": "served",
        "task": {"name": "chain_sum", "limit": 2},
        "model": "quickstart",
        "engine": {"name": "endpoint", "args": {"urls": url + "/v1", "api": "chat", **args}},
        "thinking": {"strategy": "native", "budgets": [32]},
        "answer": {"max_tokens": 8},
        "samples": 2,
        "resamples": 100,
        "out": str(out),
        **changes,
    }


def nested(out: Path, url: str, **changes: Any) -> dict[str, Any]:
    """The same, asked by token ids and cut at two budgets."""
    changes["args"] = {"api": "completions", **changes.get("args", {})}
    return {**config(out, url, **changes), "thinking": {"budgets": [0, 24]}}


def said(told: dict[str, Any]) -> tuple[list[Run], list[str]]:
    """The runs of a config, and the lines that their user reads."""
    lines: list[str] = []
    progress = Progress()
    progress.say = lambda line: (print(line), lines.append(line))[1]  # type: ignore[method-assign]
    return evaluated(told, progress=progress), lines


def texts(run: Run) -> list[list[str]]:
    """What was answered to each problem, in the order of its samples."""
    rows = Store(run.path).read("calls", ["problem_id", "sample", "text"]).to_pandas()
    by_problem = rows.sort_values(["problem_id", "sample"]).groupby("problem_id")["text"]
    return [list(part) for _, part in by_problem]
