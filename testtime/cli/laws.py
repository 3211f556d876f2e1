"""The commands `testtime laws ...`: each fits or evaluates a law on a table of numbers and prints
it; no model is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testtime.cli.options import Columns, Figure, Models, amounts, columns, drawable

laws = typer.Typer(
    no_args_is_help=True,
    help="Fit scaling laws to a table of your own numbers; no model is needed.",
)
Scores = Annotated[
    str, typer.Argument(help="A scores table (CSV, Parquet), or a run directory.", metavar="TABLE")
]


@laws.command("testtime")
def laws_testtime(
    table: Annotated[
        str, typer.Argument(help="A scores or cells table (CSV, Parquet), or a run directory.")
    ],
    axis: Annotated[
        str | None,
        typer.Option(
            help="flops, tokens, thinking_tokens, usd, seconds, budget (as requested) or n.",
            show_default="the first that is known",
        ),
    ] = None,
    column: Columns = None,
    model: Models = None,
    figure: Figure = None,
) -> None:
    """Accuracy against test compute: every law that the table has points for, the best one first.

    Example: testtime laws testtime runs/quickstart/quickstart
    """
    from testtime import api

    drawable(figure)
    result = api.laws(table, columns=columns(column), models=model, axis=axis)
    typer.echo(result.report())
    if figure:
        result.figure(figure)


@laws.command("pretraining")
def laws_pretraining(
    table: Annotated[
        Path,
        typer.Argument(
            help="Training runs: columns N, loss, and D or C, perhaps run (CSV, Parquet)."
        ),
    ],
    figure: Figure = None,
    delta: Annotated[float, typer.Option(help="Huber's delta on log residuals.")] = 1e-3,
    fix: Annotated[
        list[str] | None, typer.Option(help="A parameter that is not fitted: alpha=0.34.")
    ] = None,
    skip: Annotated[int, typer.Option(help="Leading rows to leave out.")] = 0,
) -> None:
    """Loss against parameters and tokens: Hoffmann's law with errors, and the compute-optimal
    model. Rows of one run (else of one N) are resampled together.

    Example: testtime laws pretraining runs.csv --figure law.png
    """
    from testtime.laws.pretraining import pretraining

    drawable(figure)
    result = pretraining(table, delta=delta, fixed=amounts(fix or (), "--fix"), skip=skip)
    typer.echo(result.report())
    if figure:
        result.figure(figure)


@laws.command("coverage")
def laws_coverage(
    table: Annotated[
        str,
        typer.Argument(
            help="Columns correct and total, a row a problem; a scores table; or a run."
        ),
    ],
    budget: Annotated[
        float | None, typer.Option(help="Of a scores table; default: the largest.")
    ] = None,
    column: Columns = None,
    model: Models = None,
) -> None:
    """pass@k against k, measured and beyond the samples, by a beta distribution of success rates.

    Example: testtime laws coverage runs/quickstart/quickstart
    """
    from testtime.laws import coverage
    from testtime.runs import sources

    counted, name = sources.numbers(table, columns(column), model)
    typer.echo(coverage.report(*coverage.counts(counted, budget, name)))


@laws.command("optimum")
def laws_optimum(
    flops: Annotated[float, typer.Argument(help="Training compute, such as 1e24.")],
    law: Annotated[str, typer.Option(help="Published constants of Hoffmann's form.")] = "besiroglu",
    queries: Annotated[float, typer.Option(help="Tokens that the model will serve.")] = 0.0,
    unique: Annotated[float, typer.Option(help="Distinct training tokens there are.")] = 0.0,
) -> None:
    """The compute-optimal model by a published law; cheaper to use, or short of data.

    Example: testtime laws optimum 1e24 --queries 1e12
    """
    from testtime.laws import optimum
    from testtime.laws.published import hoffmann_form

    chosen = hoffmann_form(law)
    typer.echo(optimum.report(chosen.name, chosen.values, flops, queries, unique))
    typer.echo(f"source: {chosen.source}")


@laws.command("cheapest")
def laws_cheapest(
    table: Annotated[
        str, typer.Argument(help="Columns N, D, k (samples) and accuracy, or loss = -log accuracy.")
    ],
    target: Annotated[float, typer.Argument(help="The accuracy wanted.")],
    queries: Annotated[float, typer.Argument(help="Questions over the model's life.")],
    tokens: Annotated[float, typer.Option(help="Tokens of one sample.")] = 1000.0,
) -> None:
    """The least training and inference compute for an accuracy, within what was measured.

    Example: testtime laws cheapest grid.csv 0.6 1e9 --tokens 500
    """
    from testtime.estimators.table import read_table
    from testtime.laws.train_to_test import cheapest

    typer.echo(cheapest(read_table(table), target, queries, tokens=tokens).report())


@laws.command("exchange")
def laws_exchange(
    table: Scores,
    train: Annotated[list[str], typer.Option(help="Training FLOPs of a model: NAME=1e21; five.")],
    factor: Annotated[float, typer.Option(help="Less training compute by this factor.")] = 10.0,
    column: Columns = None,
) -> None:
    """How much more test compute makes up for less training, over five models or more.

    Example: testtime laws exchange scores.parquet --train small=1e20 --train large=1e21 ...
    """
    from testtime.laws import joint
    from testtime.runs import sources

    scores = sources.stacked(sources.read([table], columns(column)))
    known = amounts(train, "--train")
    typer.echo(joint.from_scores(scores, known, factor=factor).report())
