"""The report and the command line say one thing of one law."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.report import made
from testtime.laws import study
from testtime.report.laws import fitted
from testtime.report.results import of


@pytest.mark.parametrize("unpriced", [(), ("flops",), ("prompt_tokens", "flops")])
def test_the_axis_and_the_misfit_are_those_of_the_command_line(
    tmp_path: Path, unpriced: tuple[str, ...]
) -> None:
    table = made.scores(30, 4)
    for name in unpriced:  # known of some rows only: no axis
        table.loc[table["budget"] == 64, name] = np.nan
    (results,) = of(made.run(tmp_path, table))
    assert results.axis is not None
    told = fitted(results, results.axis)
    typed = study.testtime(results.scores).curves[0]
    assert told is not None and told.best is not None and typed.best is not None
    assert typed.curve.axis == told.curve.axis == ("tokens" if unpriced else "flops")
    assert typed.best.law.name == told.best.law.name
    assert typed.best.rmse == pytest.approx(told.best.rmse)
    assert typed.best.p_value == pytest.approx(told.best.p_value)


def test_coverage_does_not_ask_for_an_oracle_that_is_there(tmp_path: Path) -> None:
    from testtime.report.coverage import coverage

    (results,) = of(made.run(tmp_path, made.scores(10, 1)))
    assert "oracle" in results.selectors and coverage(results) is None
    assert "more than one scored sample" in results.left_out["coverage"]
