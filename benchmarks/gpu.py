"""What to run wherever a GPU can be had, in this order, as one Markdown table.

    python -m benchmarks.gpu [TABLE.md]

Each row is another benchmark of this folder, in a process of its own; what it says last stands in
the table, a row that fails says so and stops nobody. Without a GPU the rows that need no vLLM run small, as a
slow test does, so that the script cannot rot: such figures say nothing of a GPU, and the table's
title names the device. What needs vLLM runs small in `make bench`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

LINES = 4  # of what a benchmark says last


@dataclass(frozen=True)
class Row:
    """A benchmark with its options on a GPU and without one; None: not run there."""

    what: str
    module: str
    gpu: str
    cpu: str | None


ROWS = [
    Row("zoo, nested over fresh", "nested_vs_fresh", "--chain 2048 --samples 32", "--engine transformers --problems 2 --samples 4 --chain 64"),
    Row("pool over bare vLLM, 135M", "overhead", "--shape 135M --chain 512 --seqs 1024", None),
    Row("pool over bare vLLM, tiny", "overhead", "--seqs 1024", None),
    Row("long chains, 1B", "long_chains", "--shape 1B --dtype bfloat16 --length 16384 --chains 512 --blocks 0", None),
    Row("same tokens again", "determinism", "", "--engine transformers --problems 20 --samples 2"),
    Row("nested says what fresh says", "bias_audit", "--engine vllm", "--engine transformers --problems 20 --samples 4"),
    Row("embedded over generate, tiny", "embedded", "--rows 256", "--rows 16 --rounds 1"),
    Row("embedded over generate, 135M", "embedded", "--shape 135M --rows 256 --tokens 256", None),
]  # fmt: skip


def said(row: Row, options: str) -> tuple[str, float]:
    """What a benchmark says last, and its seconds."""
    began = time.perf_counter()
    command = [sys.executable, "-m", f"benchmarks.{row.module}", *options.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    took = time.perf_counter() - began
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode:
        lines = [f"failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}"]
    return "<br>".join(lines[-LINES:]).replace("|", "\\|"), took


def main() -> int:
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else "no GPU: small sizes, on the CPU"
    table = [
        f"# {device}",
        "",
        "| what | options | result | seconds |",
        "| --- | --- | --- | --- |",
    ]
    failed = False
    for row in ROWS:
        options = row.gpu if cuda else row.cpu
        if options is None:
            continue
        result, took = said(row, options)
        failed |= result.startswith("failed")
        table.append(f"| {row.what} | `{row.module} {options}` | {result} | {took:.0f} |")
        print(table[-1], flush=True)
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text("\n".join(table) + "\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
