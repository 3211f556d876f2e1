"""The table that is made wherever a GPU can be had: without one its small rows run, so that the
script is whole on the day when there is one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import gpu


@pytest.mark.slow
def test_every_small_row_has_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu", str(tmp_path / "table.md")])
    assert gpu.main() == 0, capsys.readouterr().out
    title, *_, last = (tmp_path / "table.md").read_text().splitlines()
    assert "no GPU" in title and last.count("|") == 5
    small = [row for row in gpu.ROWS if row.cpu is not None]
    assert len(capsys.readouterr().out.splitlines()) == len(small) > 2
