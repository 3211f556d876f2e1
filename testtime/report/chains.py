"""Where the tokens go: how long chains want to be, how often budgets cut them, and what the cut
costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testtime import labels
from testtime.estimators.intervals import bootstrap_weights, bounded_interval
from testtime.report.drawing import level_axis
from testtime.report.results import Results
from testtime.style import (
    CATEGORY,
    FONT,
    INK,
    MUTED,
    PAPER,
    Chart,
    canvas,
    label_ends,
    percent_axis,
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


def lengths(results: Results) -> Chart | None:
    """How long chains are when the largest budget lets them, with those it cut in a column of their
    own.
    """
    import pandas as pd

    what, level = "chain lengths", results.levels[-1]
    pool = results.at(level)
    if "thinking_tokens" not in pool or pool["thinking_tokens"].notna().sum() == 0:
        results.left_out[what] = "the scores table has no thinking_tokens"
        return None
    known = pool["thinking_tokens"].notna().to_numpy()
    forced = np.zeros(len(pool), bool)
    if "forced" in pool:
        forced = results.flag("forced", level).to_numpy()
    natural = pool["thinking_tokens"].to_numpy(float)[known & ~forced]
    if not len(natural) or natural.max() <= 0:
        results.left_out[what] = "no chain ended by itself within the largest budget"
        return None
    figure, axes = canvas()
    step = max(1, int(np.ceil((natural.max() + 1) / 30)))  # whole tokens: no bar is empty by design
    count, edges = np.histogram(natural, np.arange(0, natural.max() + step + 1, step))
    share = count / known.sum()
    axes.bar(edges[:-1], share, width=step * 0.92, align="edge", color=CATEGORY[0], gid="natural")
    median, cut = float(np.median(natural)), float(forced[known].mean())
    above = {"textcoords": "offset points", "ha": "center"}
    if cut > 0:
        bar = {"width": step * 0.92, "align": "edge", "color": CATEGORY[1], "gid": "forced"}
        axes.bar([edges[-1] + step], [cut], **bar)
        bold = {"color": CATEGORY[1], "fontweight": "bold"}
        axes.annotate("cut", (edges[-1] + 1.5 * step, cut), (0, 3), **above, **bold)
    axes.axvline(median, color=INK, linewidth=1)
    at = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top"}
    axes.annotate(f"median {labels.amount(median)}", (median, 1), (4, -2), color=INK, **at)
    percent_axis(axes, max(float(share.max()), cut) * 1.12, "share of chains, %")
    axes.set_xlabel("thinking tokens of chains that ended by themselves")
    axes.xaxis.set_major_formatter(lambda v, _: labels.amount(v) if v >= 0 else "")
    table = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "chains": count, "share": share})
    note = (
        f"At {labels.where(level)}; {labels.percent(cut)}% of "
        f"{labels.counted(int(known.sum()), 'chain')} were cut there."
    )
    title = f"Left alone, half of the chains end within {labels.amount(median)} tokens"
    return Chart("lengths", title, note, figure, table)


def forced_share(results: Results) -> Chart | None:
    """Share of answers that were forced, at each budget."""
    import pandas as pd

    if "forced" not in results.scores or not results.flag("forced").any():
        results.left_out["forced answers"] = "no answer was forced"
        return None
    share = [float(results.flag("forced", level).mean()) for level in results.levels]
    figure, axes = canvas()
    axes.bar(range(len(share)), share, width=0.66, color=CATEGORY[1], gid="share")
    small = min(FONT, 115 / len(share))  # "100" is no wider than its bar
    above = {"textcoords": "offset points", "ha": "center", "color": INK, "fontsize": small}
    for at, value in enumerate(share):
        axes.annotate(f"{100 * value:.0f}", (at, value), (0, 2), **above)
    percent_axis(axes, min(max(share) * 1.1, 1.0), "answers forced, %")
    if max(share) > 0.9:
        axes.set_ylim(0, 1.1)
    level_axis(axes, results.levels)
    names = [labels.level(level) for level in results.levels]
    table = pd.DataFrame({"level": names, "forced_share": share})
    left = f"{100 * share[-1]:.0f}%" if share[-1] >= 0.005 else "next to none"
    title = f"At the largest budget {left} of the answers are still forced"
    note = "An answer is forced where the budget cut the chain."
    return Chart("forced", title, note, figure, table)


def forced_accuracy(results: Results) -> Chart | None:
    """Accuracy of forced and of natural answers at each budget, with intervals over problems."""
    import pandas as pd

    if "forced" not in results.scores:
        return None
    seed = results.run.manifest.config["seed"]
    rows = []
    joined = {level: path for path, line in enumerate(results.paths.values()) for level in line}
    for at, level in enumerate(results.levels):
        pool, flag = results.at(level), results.flag("forced", level)
        for kind, part in (("forced", pool[flag]), ("natural", pool[~flag])):
            part = part[part["score"].notna()]
            if len(part) >= 20 and part["problem_id"].nunique() >= 5:
                known = zip(("value", "lo", "hi"), _mean(part, seed), strict=True)
                name = {
                    "at": at,
                    "path": joined[level],
                    "level": labels.level(level),
                    "answers": kind,
                }
                rows.append({**name, "count": len(part), **dict(known)})
    table = pd.DataFrame(rows)
    if table.empty or table["answers"].nunique() < 2:
        results.left_out["forced against natural"] = (
            "it needs 20 forced and 20 natural answers, from 5 problems, at some budget"
        )
        return None
    figure, axes = canvas()
    tips, ends, legend = {}, [], {}
    for kind, colour in (("forced", CATEGORY[1]), ("natural", CATEGORY[0])):
        line = table[table["answers"] == kind]
        for path, part in line.groupby("path"):
            gid = f"{kind}.{path}"
            trace(axes, part["at"], part["value"], part["lo"], part["hi"], colour, gid)
            tips[gid] = [
                f"{kind}, {r['level']}: {labels.interval(r['value'], r['lo'], r['hi'])} of "
                f"{labels.counted(r['count'], 'answer')}"
                for r in part.to_dict("records")
            ]
        ends.append((float(line["at"].iloc[-1]), float(line["value"].iloc[-1]), kind, colour))
        legend[kind] = (kind, colour)
    percent_axis(axes, float(table["hi"].max()))
    level_axis(axes, results.levels)
    label_ends(axes, ends, series=list(legend))
    note = (
        "Not a fair race: at small budgets only easy problems end by themselves, at large ones "
        "only hard ones are cut. Bands are 95% intervals over problems."
    )
    title, table = "Forced answers against natural ones", table.drop(columns=["at", "path"])
    return Chart("forced-accuracy", title, note, figure, table, tips, legend)


def verdicts(results: Results) -> Chart | None:
    """What became of the answers at each budget, as shares."""
    import pandas as pd

    if "verdict" not in results.scores:
        results.left_out["verdicts"] = "the scores table has no verdicts"
        return None
    pools = [results.at(level)["verdict"].value_counts(normalize=True) for level in results.levels]
    shares = pd.DataFrame(pools).fillna(0.0)
    known = [v for v in VERDICTS if v in shares]
    figure, axes = canvas()
    x = np.arange(len(results.levels))
    base, ends = np.zeros(len(x)), []
    for verdict in known:
        part, colour = shares[verdict].to_numpy(), VERDICTS[verdict]
        edge = {"edgecolor": PAPER, "linewidth": 0.5, "gid": verdict}
        axes.bar(x, part, width=0.8, bottom=base, color=colour, **edge)
        if part.max() > 0.004:
            ends.append((x[-1] + 0.42, float(base[-1] + part[-1] / 2), verdict, colour))
        base = base + part
    percent_axis(axes, 1.0, "answers, %")
    axes.grid(False)
    level_axis(axes, results.levels)
    label_ends(axes, ends)
    names = [labels.level(level) for level in results.levels]
    table = shares.reset_index(drop=True).assign(level=names)[["level", *known]]
    note = (
        "Wrong and unparsed score 0; timeout, error and missing are unknown and left out of "
        "the accuracy."
    )
    return Chart("verdicts", "What became of the answers", note, figure, table)


def _mean(part: pd.DataFrame, seed: int, resamples: int = 1000) -> tuple[float, float, float]:
    """Mean score over rows, with an interval over problems."""
    by = part.groupby("problem_id")["score"].agg(["sum", "count"]).to_numpy(float)
    weights = bootstrap_weights(len(by), resamples, seed)
    drawn = (weights @ by[:, 0]) / (weights @ by[:, 1])
    mean = by[:, 0].sum() / by[:, 1].sum()
    lo, hi = bounded_interval(mean, drawn.var(), len(by))
    return float(mean), float(lo), float(hi)
