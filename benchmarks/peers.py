"""A whole grid of budgets and n beside what other evaluators take for one budget.

    python -m benchmarks.peers [WAY ...] [--problems 200] [--samples 16] [--rounds 3]

Every way asks the same questions of the quickstart's model, as often each, on vLLM with the same
settings, at temperature 1. Two draw the grid of GRID and every n, verdicts and report included:

    testtime   `testtime run`, vLLM in its process
    served     `testtime run`, a `vllm serve` that is up already

Three draw the largest budget alone, and are what these are measured against:

    vllm       `LLM.generate(n=...)` of all prompts, nothing graded
    lm-eval    `lm_eval run --model vllm`, one request a sample, votes counted
    inspect    `inspect eval` on that server, one epoch a sample

Ways alternate; printed are the wall seconds of whole commands, and those beyond the loading of vLLM,
as long as it took the `vllm` way in that round (the server's is not counted at all). What is not
installed is passed over in a line; `pip install testtime[peers]` has both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from testtime import zoo
from testtime.runs import prepare
from testtime.strategies import registry

GRID = [0, 8, 16, 32, 48, 64, 96]
TOKENS = 8 + GRID[-1]  # of one sample: the largest budget and its answer
FLYING = 256
# what each way imports, and whether it draws on a server of its own
WAYS = {
    "vllm": ("vllm", False),
    "testtime": ("vllm", False),
    "lm-eval": ("lm_eval", False),
    "served": ("vllm", True),
    "inspect": ("inspect_ai", True),
}
GRIDS = {"testtime": ("vllm", "lm-eval"), "served": ("inspect",)}  # and what each is beside
LM_EVAL = """\
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: QUESTIONS}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{gold}}"
generation_kwargs: {do_sample: true, temperature: 1.0, max_gen_toks: TOKENS, until: ["<eos>"]}
repeats: SAMPLES
filter_list:
  - name: votes
    filter:
      - {function: regex, regex_pattern: "</think>\\\\s*(-?[0-9]+)"}
      - {function: majority_vote}
      - {function: take_first}
metric_list: [{metric: exact_match}]
"""
INSPECT = """\
from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import match
from inspect_ai.solver import generate

@task
def sums():
    questions = json_dataset("questions.jsonl", FieldSpec(input="question", target="gold"))
    return Task(questions, solver=generate(), scorer=match())
"""
PLAIN = """\
import json, time
began = time.perf_counter()
from vllm import LLM, SamplingParams

if __name__ == "__main__":
    llm = LLM(model=MODEL, **SETTINGS)
    print("loaded", time.perf_counter() - began)
    with open("questions.jsonl") as file:
        turns = [[{"role": "user", "content": json.loads(line)["question"]}] for line in file]
    params = SamplingParams(n=SAMPLES, temperature=1.0, max_tokens=TOKENS)
    llm.chat(turns, params, use_tqdm=False)
"""


def settings() -> dict[str, Any]:
    """vLLM's, for all ways alike: what a machine without a GPU needs."""
    from vllm.platforms import current_platform

    from testtime.engines.vllm import _cpu_settings

    own = _cpu_settings("auto") if current_platform.is_cpu() else {}
    return {"max_num_seqs": FLYING, "enable_prefix_caching": True, **own}


def write(folder: Path, problems: int, samples: int, url: str) -> None:
    """The questions, and each way's own description of the task."""
    given = {
        "task": [{"name": "chain_sum", "limit": problems}],
        "model": "quickstart",
        "thinking": {"budgets": GRID},
        "answer": {"max_tokens": 8},
        "samples": samples,
    }
    engines = {
        "testtime": {"name": "vllm", "max_num_seqs": FLYING},
        "served": {"name": "endpoint", "args": {"urls": [url]}, "max_num_seqs": FLYING},
    }
    for name, engine in engines.items():
        text = yaml.safe_dump({**given, "name": name, "engine": engine, "out": "runs"})
        (folder / f"{name}.yaml").write_text(text)
    asked = prepare.load_problems(registry.parse({**given, "name": "questions"})).problems
    lines = [json.dumps({"question": p.question, "gold": p.gold}) for _, p in asked]
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n")
    words = {
        "MODEL": repr(str(zoo.path("quickstart"))),
        "SETTINGS": repr(settings()),
        "SAMPLES": str(samples),
        "TOKENS": str(TOKENS),
        "QUESTIONS": str(folder / "questions.jsonl"),
    }
    for name, text in {"sums.yaml": LM_EVAL, "sums.py": INSPECT, "plain.py": PLAIN}.items():
        for word, value in words.items():
            text = text.replace(word, value)
        (folder / name).write_text(text)


def command(way: str, url: str, samples: int) -> list[str]:
    model = str(zoo.path("quickstart"))
    if way == "vllm":
        return ["plain.py"]
    if way == "lm-eval":
        args = ",".join(f"{key}={value}" for key, value in settings().items())
        own = ["--model", "vllm", "--model_args", f"pretrained={model},{args}"]
        own += ["--tasks", "sums", "--include_path", ".", "--batch_size", "auto"]
        return ["-m", "lm_eval", "run", *own, "--apply_chat_template", "--output_path", "lm-eval"]
    if way == "inspect":
        own = ["--model", "openai-api/served/quickstart", "--model-base-url", url]
        own += ["--epochs", str(samples), "--max-connections", str(FLYING), "--temperature", "1"]
        own += ["--max-tokens", str(TOKENS), "--display", "none", "--log-dir", "inspect"]
        return ["-m", "inspect_ai", "eval", "sums.py", *own]
    return ["-m", "testtime", "run", f"{way}.yaml"]


def flag(name: str, value: object) -> str:
    name = name.replace("_", "-")
    return (
        f"--{name}={value}" if not isinstance(value, bool) else f"--{'' if value else 'no-'}{name}"
    )


@contextmanager
def server(folder: Path, port: int) -> Iterator[None]:
    """`vllm serve` on loopback, from when it answers."""
    names = ["--model", str(zoo.path("quickstart")), "--served-model-name", "quickstart"]
    address = ["--host", "127.0.0.1", "--port", str(port), "--enable-prompt-tokens-details"]
    flags = [flag(name, value) for name, value in settings().items()]
    serve = ["-m", "vllm.entrypoints.openai.api_server", *names, *address, *flags]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *serve], stdout=log, stderr=log)
    try:
        while True:
            if process.poll() is not None:
                sys.exit(f"vllm serve ended: {(folder / 'server.log').read_text()[-500:]}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
            except OSError:
                time.sleep(0.5)
            else:
                break
        yield
    finally:
        process.terminate()
        process.wait()


def seconds(way: str, folder: Path, url: str, samples: int) -> tuple[float, float]:
    """Wall seconds of a way's whole command, and those that it says went to loading vLLM."""
    began = time.perf_counter()
    words = [sys.executable, *command(way, url, samples)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environment())
    took = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{way}: {(done.stderr or done.stdout).strip()[-1500:]}")
    shutil.rmtree(folder / "runs", ignore_errors=True)  # the next round draws anew
    return took, float(done.stdout.rpartition("loaded ")[2].split()[0]) if way == "vllm" else 0.0


def environment() -> dict[str, str]:
    """This process's own modules in any folder, and nothing from a hub."""
    here = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **quiet, "PYTHONPATH": here, "SERVED_API_KEY": "none"}


def chosen(asked: list[str]) -> list[str]:
    """The ways whose packages are installed; a line for each of the others."""
    found = []
    for way in asked or WAYS:
        missing = [name for name in ("vllm", WAYS[way][0]) if not find_spec(name)]
        if missing:
            print(f"{way}: passed over, {missing[0]} is not installed")
        else:
            found.append(way)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ways", nargs="*", metavar="WAY", help=", ".join(WAYS))
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if unknown := set(given.ways) - set(WAYS):
        parser.error(f"no way {min(unknown)!r}: {', '.join(WAYS)}")
    ways = chosen(given.ways)
    if not ways:
        return
    print(f"{given.problems} problems x {given.samples}; {len(GRID)} budgets against one")
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder, port = Path(name), free_port()
        url = f"http://127.0.0.1:{port}/v1"
        write(folder, given.problems, given.samples, url)
        rounds([way for way in ways if not WAYS[way][1]], given, folder, url)
        if served := [way for way in ways if WAYS[way][1]]:
            with server(folder, port):
                rounds(served, given, folder, url)


def rounds(ways: list[str], given: argparse.Namespace, folder: Path, url: str) -> None:
    """Print what each way took, and the ratios of those that are compared."""
    took: dict[str, list[float]] = {way: [] for way in ways}
    loading = []
    for _ in range(given.rounds):
        for way in ways:
            wall, loaded = seconds(way, folder, url, given.samples)
            took[way].append(wall)
            loading += [loaded] if loaded else []
            print(f"  {way}: {wall:.1f} s", flush=True)
    for grid, others in GRIDS.items():
        for way in others:
            if grid in took and way in took:
                print(f"{grid} over {way}: {ratio(took[grid], took[way])}", end="")
                if loading:
                    ours, theirs = (subtracted(took[name], loading) for name in (grid, way))
                    print(f"; {ratio(ours, theirs)} beyond loading, {max(loading):.1f} s", end="")
                print(flush=True)


def subtracted(seconds: list[float], loading: list[float]) -> list[float]:
    return [a - b for a, b in zip(seconds, loading, strict=True)]


def ratio(ours: list[float], theirs: list[float]) -> str:
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


if __name__ == "__main__":
    main()
