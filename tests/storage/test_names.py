"""Any name is one file's name, told apart from every other and read back."""

from __future__ import annotations

import string
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.storage import sheets
from testtime.storage.names import (
    LONGEST,
    file_name,
    from_csv,
    in_csv,
    in_figure,
    original,
    shown,
)

ANY = st.text(alphabet=st.characters(exclude_categories=()), max_size=30)
LIKELY = st.text(alphabet="a/-.%~_A", max_size=12)


@given(ANY | LIKELY)
def test_a_name_is_read_back_from_its_file(name: str) -> None:
    encoded = file_name(name)
    assert set(encoded) <= set(string.ascii_letters + string.digits + "._-%~")
    assert encoded and len(encoded) <= LONGEST and not encoded.startswith(".")
    if "%~" not in encoded:
        assert original(encoded) == name


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("org/model-7B_v1.5", "org--model-7B_v1.5"), ("model", "model"), ("", "%"), ("..", "%2E%2E"),
        ("../../etc", "%2E.--..--etc"), ("a--b", "a%2D%2Db"), ("a/-b", "a--%2Db"),
    ],
)  # fmt: skip
def test_ordinary_names_stay_readable(name: str, encoded: str) -> None:
    assert file_name(name) == encoded


def test_long_and_foreign_names_do_not_meet(tmp_path: Path) -> None:
    names = [
        "模型",
        "модель",
        "model",
        "Model",
        "MODEL ",
        "a" * 300,
        "a" * 301,
        "模" * 100,
        "型" * 100,
        "\ud800",
        "é",
        "é",
    ]
    for name in names:
        (tmp_path / file_name(name)).write_text("x")
    assert len(list(tmp_path.iterdir())) == len(set(names))
    with pytest.raises(ValueError):
        original(file_name("a" * 300))


def test_a_name_is_never_mathtext_nor_broken_xml() -> None:
    import io

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    for name in (r"$\frac$", "$", "a$b$c", "\x00nul", r"\$x$", "$" * 7, "\ud800\ufffe"):
        for kind in ("svg", "png", "pdf"):
            figure, axes = plt.subplots()
            axes.set_title(f"cost in \\$: {in_figure(name)}")
            figure.savefig(io.BytesIO(), format=kind)
            plt.close(figure)
    assert in_figure("plain") == "plain" and shown("a\x1b[2J") == "a\ufffd[2J"


@pytest.mark.parametrize("cell", ["=1+1", "+x", "-x", "@SUM(A1)", "\t=1"])
def test_a_cell_is_no_formula(cell: str) -> None:
    assert in_csv(cell) == f"'{cell}" and from_csv(in_csv(cell)) == cell


def test_other_cells_stay() -> None:
    others = ["a=b", -3.5, None, "", "-5", "+1.5e-3", "'", "'a"]
    assert [in_csv(v) for v in others] == others == [from_csv(v) for v in others]


def test_a_written_table_has_no_formula_and_reads_back_the_same(tmp_path: Path) -> None:
    table = pd.DataFrame({"=name": ["=1+1", "'@x", None, "a"], "n": [-1.5, 2, 3, 4]})
    sheets.write(table, tmp_path / "t.csv")
    cells = (tmp_path / "t.csv").read_text().replace("\n", ",").split(",")
    assert not [cell for cell in cells if cell[:1] in ("=", "@", "+") or cell == "-1"]
    pd.testing.assert_frame_equal(sheets.read(tmp_path / "t.csv"), table)
