"""Where the tokens go: how long chains want to be, how often budgets cut them, and what the cut
costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testtime.estimators.intervals import bootstrap_weights, bounded_interval
from testtime.report.coverage import budget_axis
from testtime.report.results import Evidence, level_name
from testtime.report.style import (
    CATEGORY,
    INK,
    MUTED,
    PAPER,
    Plate,
    amount,
    canvas,
    interval_text,
    label_ends,
    percent_axis,
    plain_axis,
    trace,
)

if TYPE_CHECKING:
    import pandas as pd

VERDICTS = {  # verdict -> colour; order of stacking
    "correct": CATEGORY[2],
    "wrong": CATEGORY[1],
    "unparsed": CATEGORY[4],
    "timeout": CATEGORY[3],
    "error": CATEGORY[6],
    "missing": MUTED,
}


def lengths(evidence: Evidence) -> Plate | None:
    """How long chains are when the largest budget lets them, with those it cut in a column of their
    own.
    """
    import pandas as pd

    pool = evidence.at(evidence.levels[-1])
    if "thinking_tokens" not in pool or pool["thinking_tokens"].notna().sum() == 0:
        evidence.left_out["chain lengths"] = "the scores table has no thinking_tokens"
        return None
    known = pool[pool["thinking_tokens"].notna()]
    forced = (
        known["forced"].fillna(False).astype(bool)
        if "forced" in known
        else pd.Series(False, index=known.index)
    )
    natural = known.loc[~forced, "thinking_tokens"].to_numpy(float)
    if not len(natural) or natural.max() <= 0:
        evidence.left_out["chain lengths"] = "no chain ended by itself within the largest budget"
        return None
    figure, axes = canvas()
    step = max(
        1, int(np.ceil((natural.max() + 1) / 30))
    )  # whole tokens, so that no bar is empty by construction
    edges = np.arange(0, natural.max() + step + 1, step)
    count, edges = np.histogram(natural, edges)
    share, width = count / len(known), float(edges[1] - edges[0])
    axes.bar(edges[:-1], share, width=width * 0.92, align="edge", color=CATEGORY[0], gid="natural")
    median = float(np.median(natural))
    cut = float(forced.mean())
    if cut > 0:
        axes.bar(
            [edges[-1] + width],
            [cut],
            width=width * 0.92,
            align="edge",
            color=CATEGORY[1],
            gid="forced",
        )
        axes.annotate(
            "cut",
            (edges[-1] + 1.5 * width, cut),
            (0, 3),
            textcoords="offset points",
            ha="center",
            color=CATEGORY[1],
            fontweight="bold",
        )
    axes.axvline(median, color=INK, linewidth=1)
    axes.annotate(
        f"median {amount(median)}",
        (median, 1),
        (4, -2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="top",
        color=INK,
    )
    percent_axis(axes, max(float(share.max()), cut) * 1.12, "share of chains, %")
    axes.set_xlabel("thinking tokens of chains that ended by themselves")
    axes.xaxis.set_major_formatter(lambda v, _: amount(v) if v >= 0 else "")
    limit = level_name(evidence.levels[-1], unit=True)
    table = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "chains": count, "share": share})
    note = f"At budget {limit}; {100 * cut:.1f}% of {len(known):,} chains were cut there."
    return Plate(
        "lengths",
        f"Left alone, half of the chains end within {amount(median)} tokens",
        note,
        figure,
        table,
    )


def forced_share(evidence: Evidence) -> Plate | None:
    """Share of answers that were forced, at each budget."""
    import pandas as pd

    if "forced" not in evidence.scores or not evidence.scores["forced"].fillna(False).any():
        evidence.left_out["forced answers"] = "no answer was forced"
        return None
    share = [float(evidence.at(level)["forced"].fillna(False).mean()) for level in evidence.levels]
    figure, axes = canvas()
    x, ticks, names, label = budget_axis(evidence)
    axes.bar(x, share, width=0.66, color=CATEGORY[1], gid="share")
    for place, value in zip(x, share, strict=True):
        axes.annotate(
            f"{100 * value:.0f}",
            (place, value),
            (0, 2),
            textcoords="offset points",
            ha="center",
            color=INK,
        )
    percent_axis(axes, min(max(share) * 1.1, 1.0), "answers forced, %")
    if max(share) > 0.9:
        axes.set_ylim(0, 1.1)
    plain_axis(axes, ticks, names, label)
    table = pd.DataFrame({"level": names, "forced_share": share})
    title = f"At the largest budget {100 * share[-1]:.0f}% of the answers are still forced"
    return Plate(
        "forced", title, "An answer is forced where the budget cut the chain.", figure, table
    )


def forced_accuracy(evidence: Evidence) -> Plate | None:
    """Accuracy of forced and of natural answers at each budget, with intervals over problems."""
    import pandas as pd

    if "forced" not in evidence.scores:
        return None
    rows = []
    for place, level in enumerate(evidence.levels):
        pool = evidence.at(level)
        flag = pool["forced"].fillna(False).astype(bool)
        for kind, part in (("forced", pool[flag]), ("natural", pool[~flag])):
            part = part[part["score"].notna()]
            if len(part) >= 20 and part["problem_id"].nunique() >= 5:
                value, lo, hi = _ratio(part, evidence.run.manifest["config"]["seed"])
                rows.append(
                    {
                        "place": place,
                        "level": level_name(level),
                        "answers": kind,
                        "count": len(part),
                        "value": value,
                        "lo": lo,
                        "hi": hi,
                    }
                )
    table = pd.DataFrame(rows)
    if table.empty or table["answers"].nunique() < 2:
        evidence.left_out["forced against natural"] = (
            "it needs 20 forced and 20 natural answers, from 5 problems, at some budget"
        )
        return None
    figure, axes = canvas()
    tips, ends = {}, []
    for kind, colour in (("forced", CATEGORY[1]), ("natural", CATEGORY[0])):
        line = table[table["answers"] == kind]
        trace(axes, line["place"], line["value"], line["lo"], line["hi"], colour, kind)
        tips[kind] = [
            f"{kind}, {r['level']}: {interval_text(r['value'], r['lo'], r['hi'])} of "
            f"{r['count']:,} answers"
            for r in line.to_dict("records")
        ]
        ends.append((float(line["place"].iloc[-1]), float(line["value"].iloc[-1]), kind, colour))
    percent_axis(axes, float(table["hi"].max()))
    _, ticks, names, label = budget_axis(evidence)
    plain_axis(axes, ticks, names, label)
    label_ends(axes, ends)
    note = (
        "Not a fair race: at small budgets only easy problems end by themselves, at large ones "
        "only hard ones are cut."
        " Bands are 95% intervals over problems."
    )
    return Plate(
        "forced-accuracy",
        "Forced answers against natural ones",
        note,
        figure,
        table.drop(columns=["place"]),
        tips,
    )


def verdicts(evidence: Evidence) -> Plate | None:
    """What became of the answers at each budget, as shares."""
    if "verdict" not in evidence.scores:
        evidence.left_out["verdicts"] = "the scores table has no verdicts"
        return None
    import pandas as pd

    shares = pd.DataFrame(
        [evidence.at(level)["verdict"].value_counts(normalize=True) for level in evidence.levels]
    ).fillna(0.0)
    known = [v for v in VERDICTS if v in shares]
    figure, axes = canvas()
    x, ticks, names, label = budget_axis(evidence)
    base = np.zeros(len(x))
    ends = []
    for verdict in known:
        part = shares[verdict].to_numpy()
        axes.bar(
            x,
            part,
            width=0.8,
            bottom=base,
            color=VERDICTS[verdict],
            gid=verdict,
            edgecolor=PAPER,
            linewidth=0.5,
        )
        if part.max() > 0.004:
            ends.append((x[-1] + 0.42, float(base[-1] + part[-1] / 2), verdict, VERDICTS[verdict]))
        base = base + part
    percent_axis(axes, 1.0, "answers, %")
    axes.grid(False)
    plain_axis(axes, ticks, names, label)
    label_ends(axes, ends)
    table = shares.reset_index(drop=True).assign(level=names)[["level", *known]]
    note = (
        "Wrong and unparsed score 0; timeout, error and missing are unknown and left out of "
        "the accuracy."
    )
    return Plate("verdicts", "What became of the answers", note, figure, table)


def _ratio(part: pd.DataFrame, seed: int, resamples: int = 1000) -> tuple[float, float, float]:
    """Mean score over rows, with an interval over whole problems."""
    by = part.groupby("problem_id")["score"].agg(["sum", "count"]).to_numpy(float)
    weights = bootstrap_weights(len(by), resamples, seed)
    drawn = (weights @ by[:, 0]) / (weights @ by[:, 1])
    mean = by[:, 0].sum() / by[:, 1].sum()
    lo, hi = bounded_interval(mean, drawn.var(), len(by))
    return float(mean), float(lo), float(hi)
