"""Python in the sandbox that grades programs (`grading.sandbox`).

The cells of one chain share their variables: each call runs the chain's earlier cells again, their
output dropped, and then its own. So its seconds hold those of the earlier cells, and a cell that
drew a random number or looked at the clock may leave another value behind than the one that the
model was shown. A cell that a limit ended is not run again: what it computed is gone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from testtime.errors import UserError
from testtime.grading import sandbox
from testtime.tools.base import Result, Tool, ToolTimeoutError

SHOWN = 4_000  # characters of what a cell printed before one of its limits ended it
_SESSION = r"""
def session(cells):
    import ast, contextlib, io, sys, traceback
    names = {"__name__": "__main__"}
    def run(cell):
        tree = ast.parse(cell, "cell.py")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell.py", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell.py", "eval"), names)
            if value is not None:
                print(repr(value))
    for cell in cells[:-1]:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            with contextlib.suppress(BaseException):
                run(cell)
    sys.stderr = sys.stdout
    try:
        run(cells[-1])
    except BaseException as error:
        text = "".join(traceback.format_exception_only(error)).strip()
        lines = [at.lineno for at in traceback.extract_tb(error.__traceback__)
                 if at.filename == "cell.py"]
        print(FAILED + (f"line {lines[-1]}: " if lines else "") + text)
session(CELLS)
"""
_FAILED = "\x02failed\x03"


class Python(Tool):
    """cpu_s, memory_mb, processes: of one call, the earlier cells included; packages: what may be
    imported beside the standard library. allow_unsandboxed: run it with the limits alone where
    bubblewrap does not work; the program can then read files, use the network and end other
    processes.
    """

    argument: ClassVar[str] = "code"
    name: str = "python"
    about: str = "runs a Python program and shows what it prints; variables are kept"
    cpu_s: int = Field(10, ge=1)
    memory_mb: int = Field(1024, ge=128)
    processes: int = Field(32, ge=1)
    packages: tuple[str, ...] = ("numpy",)
    allow_unsandboxed: bool = False

    def ready(self) -> str:
        if not self.allow_unsandboxed and (missing := sandbox.available()):
            raise UserError(
                f"thinking.tools: {self.name} runs what a model wrote, and {missing}; or set its "
                "allow_unsandboxed: true to run the programs without a sandbox"
            )
        return ""

    def run(self, call: str, before: Sequence[str], seconds: float) -> Result:
        cells = json.dumps([*before, call])
        program = f"FAILED = {_FAILED!r}\nCELLS = {cells}\n{_SESSION}"
        outcome = sandbox.run(
            program,
            sandbox.Bounds(self.cpu_s, seconds, self.memory_mb, self.processes),
            packages=self.packages,
            sandboxed=sandbox.available() is None,
        )
        if outcome.status == "timeout":
            raise ToolTimeoutError(f"tool {self.name}: no end after {seconds:g} s")
        printed, failed, error = outcome.output.partition(_FAILED)
        if outcome.status == "finished":
            text = (printed + error).strip("\n")
            return Result(text, "failed") if failed else Result(text or "[no output]")
        reason = {
            "cpu": f"over {self.cpu_s} s of CPU time",
            "output": "too much output",
            "memory": f"over {self.memory_mb} MiB of memory",
        }.get(outcome.status, "the program ended before its end")
        shown = f"{(printed + error)[-SHOWN:]}\n" if outcome.output else ""
        return Result(f"{shown}error: {reason}; its variables are lost", "ended")
