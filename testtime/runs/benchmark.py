"""What the terminal shows of a benchmark before it is drawn."""

from __future__ import annotations

from testtime import tasks
from testtime.errors import UserError, printable
from testtime.runs.prepare import useless_golds

SHOWN = 20  # golds that cannot be used, and are named one by one


def benchmark(name: str) -> str:
    """A benchmark before it is drawn: one rendered prompt, its gold and grader, and the golds that
    a run would leave out.
    """
    task = tasks.load(name)
    try:
        golds = list(useless_golds(task).values()) or [f"all {len(task.problems)} can be graded"]
    except UserError as error:
        golds = [f"not checked: {error}"]
    more = [f"and {len(golds) - SHOWN} more"] if len(golds) > SHOWN else []
    return printable("\n".join([tasks.show(task), "", "[golds]", *golds[:SHOWN], *more]))
