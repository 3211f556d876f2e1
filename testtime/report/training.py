"""The laws of training beside those of test compute: where the models stand, and what one compute
buys of the other.

Published laws are of web text, in nats a token: a model trained on anything else is not on them, so
the ladder's rungs stand on a law fitted to their own runs (`testtime laws published` draws the GPT
lineage).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from testtime import labels, zoo
from testtime.compute.flops import Flops
from testtime.errors import UserError
from testtime.laws import joint, optimum
from testtime.laws.curves import Curve, from_sample
from testtime.laws.pretraining import pretraining
from testtime.report.results import Results
from testtime.style import (
    CATEGORY,
    INK,
    MUTED,
    PAPER,
    Chart,
    canvas,
    label_ends,
    log_axis,
    ramp_map,
)

LEAST_MODELS = 3


@dataclass
class Training:
    """The section: its figures, a table of where the models stand, and what was left out (a
    sentence each).
    """

    charts: list[Chart] = field(default_factory=list)
    rows: list[tuple[str, ...]] = field(default_factory=list)
    omitted: list[str] = field(default_factory=list)


def section(models: list[Results]) -> Training:
    """Everything the report can say about training compute for these models."""
    found = Training()
    places = [(e, place(e)) for e in {e.model: e for e in reversed(models)}.values()][
        ::-1
    ]  # each model's first run
    known = [(e, p) for e, p in places if p is not None]
    for e, p in known:
        loss = f"{p['loss']:.4g}" if "loss" in p else ""
        found.rows.append(
            (
                e.model,
                labels.amount(p["parameters"]),
                labels.amount(p["tokens"]),
                labels.amount(p["flops"]),
                loss,
            )
        )
    unknown = [e.model for e, p in places if p is None]
    if unknown:
        found.omitted.append(
            f"{', '.join(unknown)}: training compute is not known. Give training_tokens beside "
            f"the model's name in the"
            " config, and it is placed here."
        )
    if any(e.model.startswith("ladder/") for e, _ in known):
        found.charts.append(
            ladder([(e.model, p) for e, p in known if e.model.startswith("ladder/")])
        )
    try:
        found.charts.append(contours(known))
    except UserError as error:
        found.omitted.append(
            f"Accuracy over training and test compute together is left out: {error}."
        )
    return found


def place(results: Results) -> dict[str, float] | None:
    """parameters, tokens and flops of a model's training (and its loss where it is known), or
    None.
    """
    manifest = results.run.manifest
    if results.model in zoo.names():
        return {k: float(v) for k, v in zoo.training(results.model).items() if k in PLACE}
    tokens = manifest.config["model"][0].get("training_tokens")
    try:
        size = Flops.from_config(manifest.architecture).parameters
    except UserError:
        return None
    if tokens is None:
        return None
    return {
        "parameters": float(size.non_embedding),
        "tokens": tokens,
        "flops": 6.0 * size.active * tokens,
    }


PLACE = ("parameters", "tokens", "flops", "loss")
LEARNT = 2e5  # training tokens


def ladder(models: list[tuple[str, dict[str, float]]]) -> Chart:
    """The ladder's own law: loss of every run of the rungs, the fitted optimum, and the models of
    this report.
    """
    import pandas as pd

    runs = pd.read_csv(zoo.ROOT / "ladder" / "ladder.csv")
    table = runs.rename(columns={"parameters": "N", "tokens": "D"}).sort_values("D")
    # Where the small rungs know nothing yet, no law of theirs holds (benchmarks/laboratory).
    lawful = table[table["D"] >= LEARNT]
    found = pretraining(lawful[["N", "D", "loss"]], resamples=0)
    figure, axes = canvas()
    for name, part in table.groupby("run"):
        axes.plot(
            part["flops"], part["loss"], color=MUTED, linewidth=0.8, marker=".", gid=f"run{name}"
        )
    span = np.geomspace(table["flops"].min(), table["flops"].max() * 3, 60)
    axes.plot(
        span,
        optimum.parametric(found.fit.params, span).loss,
        color=CATEGORY[1],
        linewidth=1.6,
        gid="optimum",
    )
    log_axis(axes, span, "training FLOPs, log scale")
    axes.set_yscale("log")
    ticks = [
        t
        for t in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
        if table["loss"].min() * 0.6 <= t <= table["loss"].max() * 1.5
    ]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_ylabel("held-out loss, nats a fact")
    for _, p in models:
        axes.plot([p["flops"]], [p["loss"]], "o", color=CATEGORY[0], markersize=6)
    label_ends(
        axes, [(p["flops"], p["loss"], name.rsplit("/", 1)[-1], CATEGORY[0]) for name, p in models]
    )
    params = found.fit.params
    note = (
        "Grey: the runs of each rung as it trains. Blue: the models of this report. Orange: the "
        "compute-optimal line of"
        f" Hoffmann's law fitted to these runs (alpha {params['alpha']:.2f}, beta "
        f"{params['beta']:.2f}),"
        f" whose residuals are {found.fit.rmse:.2f} in log loss (R2 {found.fit.r2:.2f})."
    )
    return Chart("ladder-law", "The ladder's own law of training", note, figure, table)


def contours(known: list[tuple[Results, dict[str, float]]]) -> Chart:
    """Accuracy of one sample over (training FLOPs, test FLOPs), with the exchange rate where there
    is one.

    Raises UserError where the models do not allow it.
    """
    import pandas as pd

    usable = [(e, p) for e, p in known if "flops" in e.axes]
    if len(usable) < LEAST_MODELS:
        raise UserError(
            f"it needs {LEAST_MODELS} models whose training FLOPs are known, here are {len(usable)}"
        )
    problems = usable[0][0].sample.grid.problems
    if not all(np.array_equal(problems, e.sample.grid.problems) for e, _ in usable):
        raise UserError("the models were asked different problems")
    curves = []
    for e, _ in usable:
        cells = e.sample.grid.cells
        columns = (cells["selector"] == "mean") & cells["budget"].notna()
        curves.append(from_sample(e.sample, np.flatnonzero(columns.to_numpy()), "flops"))
    names = [c.model for c in curves for _ in c.x]
    flops = {e.model: p["flops"] for e, p in usable}
    trained = np.array([flops[name] for name in names])
    spent, y = (np.concatenate([getattr(c, k) for c in curves]) for k in ("x", "y"))
    table = pd.DataFrame(
        {"model": names, "training_flops": trained, "test_flops": spent, "accuracy": y}
    )
    figure, axes = canvas((4.8, 3.7))
    _surface(axes, trained, spent, y)
    note = (
        "One sample a problem. Points: measured, darker is more accurate, with the accuracy at "
        "the least and the most"
        f" thinking. Bands of 10 points interpolate between them. {_exchange(curves, flops)}"
    )
    title = "Train more, or think more? Accuracy over both computes"
    return Chart("contours", title, note, figure, table)


def _exchange(curves: list[Curve], flops: dict[str, float]) -> str:
    """The exchange rate in words, or why there is none."""
    try:
        rate = joint.exchange(curves, flops)
    except UserError as error:
        return f"No exchange rate is quoted: {error}."
    if rate.rejected:
        return f"No exchange rate is quoted: {', '.join(rate.rejected)}: no logistic curve."
    return f"By curves logistic in log test FLOPs, {rate}."


def _surface(axes: Any, trained: Any, spent: Any, y: Any) -> None:
    from scipy.interpolate import griddata

    x, z = (
        np.geomspace(trained.min(), trained.max(), 80),
        np.geomspace(spent.min(), spent.max(), 80),
    )
    across, up = np.meshgrid(np.log(x), np.log(z))
    surface = griddata((np.log(trained), np.log(spent)), 100 * y, (across, up), method="linear")
    axes.contourf(
        x, z, surface, levels=range(0, 101, 10), cmap=ramp_map(), vmin=0, vmax=100, alpha=0.55
    )
    axes.scatter(
        trained,
        spent,
        c=y,
        cmap=ramp_map(),
        vmin=0,
        vmax=1,
        s=26,
        edgecolors=PAPER,
        linewidths=0.6,
        zorder=3,
    )
    for flops in np.unique(trained):
        own = np.flatnonzero(trained == flops)
        for at, lift in ((own[np.argmin(spent[own])], -13), (own[np.argmax(spent[own])], 6)):
            axes.annotate(
                f"{100 * y[at]:.0f} %",
                (flops, spent[at]),
                (0, lift),
                textcoords="offset points",
                ha="center",
                color=INK,
            )
    log_axis(axes, x, "training FLOPs, log scale")
    axes.set_yscale("log")
    axes.set_ylim(z[0] / 2, z[-1] * 1.7)
    axes.set_ylabel("test FLOPs a problem, log scale")
    axes.minorticks_off()
