"""The notebook of the documentation runs, cell by cell, and comes to a law; no Jupyter is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "table-to-law.ipynb"


def test_the_notebook_goes_from_a_table_to_a_law(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    said = capsys.readouterr().out
    assert names["curve"].supported and not names["line"].rejected
    assert names["low"] < 0.1 < names["high"]
    assert "beyond:" in said and "Recommended settings" in said
    assert names["training"].fit.params["alpha"] == pytest.approx(0.3478, abs=0.02)
