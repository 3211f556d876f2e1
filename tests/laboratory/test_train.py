"""The recipes run from one command, go on where they were, and the law is fitted to what they
leave.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from benchmarks.laboratory import downstream, exponents, figures, law, noise, recipe, train
from benchmarks.laboratory.data import held_out


def small(tokens: tuple[int, ...]) -> recipe.Recipe:
    rung = recipe.Rung("0", 8, 2, 1, 16, (1,))
    return recipe.Recipe({"0": rung}, tokens, 0.11, 0.3, 1024, 60, warmup_tokens=5_000)


def rows(folder: Path, tokens: tuple[int, ...]) -> list[dict[str, Any]]:
    return [json.loads((folder / str(n) / "measured.json").read_text()) for n in tokens]


def test_the_shipped_recipe_is_a_ladder() -> None:
    found = recipe.load(Path(recipe.__file__).parent / "ladder.yaml")
    sizes = [recipe.sizes(recipe.build(rung, 0))[0] for rung in found.rungs.values()]
    assert sizes == sorted(sizes) and sizes[0] < 10_000 and sizes[-1] > 1_000_000
    assert len(sizes) >= 7 and len(found.tokens) >= 5
    assert all(len(rung.seeds) == 3 for rung in list(found.rungs.values())[:-2])


@pytest.mark.slow
def test_a_killed_run_ends_where_a_whole_one_does(tmp_path: Path) -> None:
    tokens = (10_000, 20_000)
    quiz = held_out(60, 0.3, 4096)
    whole, halved = small(tokens), small(tokens[:1])
    train.train(train.Run(whole, whole.rungs["0"]), 1, tmp_path / "whole", quiz)
    train.train(train.Run(halved, halved.rungs["0"]), 1, tmp_path / "killed", quiz)
    train.train(
        train.Run(whole, whole.rungs["0"]), 1, tmp_path / "killed", quiz
    )  # as another process would
    one, two = rows(tmp_path / "whole", tokens), rows(tmp_path / "killed", tokens)
    for a, b in zip(one, two, strict=True):
        assert (
            a["loss_written"] == b["loss_written"]
            and a["tokens"] == b["tokens"]
            and a["flops"] == b["flops"]
        )
    assert one[1]["loss_written"] < one[0]["loss_written"] < np.log(1100)


@pytest.mark.slow
def test_the_agents_recipe_runs_from_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.laboratory import agent

    text = (Path(agent.__file__).parent / "agent.yaml").read_text()
    text = text.replace("hidden: 96, layers: 6, heads: 3", "hidden: 16, layers: 2, heads: 1")
    for key, value in (
        ("tokens", "3.0e4"),
        ("tuning_tokens", "1.0e4"),
        ("scoring_tokens", "5.0e3"),
    ):
        text = "\n".join(
            f"{key}: {value}" if line.startswith(f"{key}:") else line for line in text.splitlines()
        )
    text = text.replace("questions: 3000", "questions: 400")
    (tmp_path / "agent.yaml").write_text(text)
    monkeypatch.setattr(
        "sys.argv", ["agent", str(tmp_path / "agent.yaml"), "--out", str(tmp_path / "out")]
    )
    agent.main()
    assert all(
        (tmp_path / "out" / name / "model.safetensors").exists()
        for name in ("first", "agent", "prm")
    )
    before = (tmp_path / "out" / "agent" / "model.safetensors").stat().st_mtime_ns
    agent.main()  # nothing is done twice
    assert (tmp_path / "out" / "agent" / "model.safetensors").stat().st_mtime_ns == before


def made(noise: float) -> pd.DataFrame:
    """A ladder that obeys Hoffmann's law, with noise a run and a checkpoint in log loss."""
    rng = np.random.default_rng(3)
    out = []
    for k, n in enumerate((6e3, 16e3, 31e3, 50e3, 122e3, 443e3, 1.03e6)):
        for seed in range(3):
            shift = noise * rng.standard_normal()
            for d in (2.5e5, 5e5, 1e6, 1.4e6, 2e6):
                loss = (0.1 + 165 / n**0.5 + 1420 / d**0.56) * np.exp(
                    shift + noise * rng.standard_normal()
                )
                out.append(
                    {
                        "run": f"{k}/{seed}",
                        "rung": str(k),
                        "seed": seed,
                        "N": n,
                        "D": d,
                        "loss": loss,
                    }
                )
    return pd.DataFrame(out).assign(loss_se=0.001)


def test_the_law_foretells_a_rung_of_a_ladder_that_obeys_one() -> None:
    table = made(0.02)
    largest = table[(table["rung"] == "6") & (table["seed"] == 0)]
    written = law.predict(table[table["rung"] != "6"], 1.03e6, [5e5, 2e6])
    assert written["runs"] == 18 and written["law"]["alpha"] == pytest.approx(0.5, abs=0.1)
    checked = law.check(written, largest)
    assert all(one["close"] and one["inside"] for one in checked["predicted"])
    surprised = law.check(written, largest.assign(loss=2 * largest["loss"]))
    assert not any(one["close"] or one["inside"] for one in surprised["predicted"])


def test_isoflop_minima_lie_where_the_law_puts_them() -> None:
    table = made(0.0)
    for compute in exponents.budgets(table)[1:-1]:
        curve = exponents.isoflop(table, float(compute))
        right = [0.1 + 165 / n**0.5 + 1420 / (compute / 6 / n) ** 0.56 for n in curve["N"]]
        np.testing.assert_allclose(curve["loss"], right, rtol=0.02)
    text = exponents.exponents(table)
    assert "Kaplan et al. 2020 | 0.076" in text and "| the ladder, Hoffmann's form | 0.5" in text


def test_the_ladder_is_judged_against_the_noise_of_its_seeds() -> None:
    table = made(0.02)
    assert noise.noise(table) == (pytest.approx(0.02 * 2**0.5, rel=0.25), 70)
    for axis in ("N", "D"):
        assert (noise.pairs(table, axis)["errors"] > -noise.ERRORS).all()
        assert (noise.pairs(table, axis, 4.0)["errors"] > noise.ERRORS).all()
    upside_down = table.assign(loss=table["loss"].where(table["rung"] != "3", 2 * table["loss"]))
    turned = noise.pairs(upside_down, "N").query("errors < -2")
    assert len(turned) == table["D"].nunique() and turned["to"].nunique() == 1
    assert "reversed:" in noise.report(upside_down) and "reversed:" not in noise.report(table)


def test_the_figure_is_drawn_from_the_tables_alone(tmp_path: Path) -> None:
    table = made(0.02)
    smaller, size = table[table["rung"] != "6"], float(table["N"].max())
    said = [law.predict(smaller, size, counts) for counts in ([5e5, 1e6], [2e6])]
    accuracy = table.assign(
        budget=8, target=table["D"], accuracy=0.03 + 0.9 * np.exp(-1.1 * table["loss"]), se=0.01
    )
    path = tmp_path / "ladder.png"
    figures.draw(table, accuracy.drop(columns="D"), said, path)
    assert path.stat().st_size > 50_000


def test_accuracy_is_foretold_through_the_loss() -> None:
    rng = np.random.default_rng(0)
    table = made(0.03)
    error = 0.97 - 0.9 * np.exp(-1.1 * table["loss"])
    table = table.assign(
        flops=6 * table["N"] * table["D"],
        accuracy=1 - error + 0.005 * rng.standard_normal(len(table)),
        se=0.005,
    )
    said = downstream.foretold(table, "loss", downstream.through_loss)
    assert ((said["lo"] <= said["measured"]) & (said["measured"] <= said["hi"])).mean() >= 0.9
    assert np.abs(said["foretold"] - said["measured"]).max() < 0.03
    rough = downstream.foretold(table, "flops", downstream.log_odds)
    assert rough["residual"].iloc[0] > said["residual"].iloc[0]
