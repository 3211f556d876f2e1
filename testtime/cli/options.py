"""Options of the command line that say more than a word or a number: name=number pairs, and runs by
a pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from testtime.errors import UserError, suggest

if TYPE_CHECKING:
    from testtime.config.schema import Prices, Rates

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Figure = Annotated[Path | None, typer.Option(help="Also draw a figure: a .png, .svg or .pdf file.")]
Price = Annotated[
    list[str] | None,
    typer.Option(help="Dollars per million: input=0.3 cached=0.1 output=1.2; default: the run's."),
]
Rate = Annotated[
    list[str] | None,
    typer.Option(help="Tokens a second: prefill=20000 decode=3000; default: the run's."),
]

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key: --set samples=32", metavar="KEY=VALUE"),
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="Our column = a table's name for it.", metavar="OURS=THEIRS"),
]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="Only this model, or pattern: '*gpt-5*'.")
]
RunDir = Annotated[str, typer.Argument(help="A run directory, such as runs/quickstart/quickstart.")]
EXAMPLES = {
    "--limit": "tokens=2000",
    "--price": "output=1.2",
    "--rate": "decode=3000",
    "--fix": "alpha=0.34",
    "--train": "small=1e21",
}


def without_reports(paths: Sequence[str | Path]) -> list[str | Path]:
    """The paths without the folder of a report on several runs, which a pattern such as
    runs/ladder/* takes in.

    Raises UserError where nothing else is there.
    """
    kept = [path for path in paths if not (Path(path) / "index.html").is_file()]
    if paths and not kept:
        raise UserError(
            f"{paths[0]}: the folder of a report, not a run; give the runs that it is about"
        )
    return kept


def costs(
    price: Sequence[str] | None, rate: Sequence[str] | None
) -> tuple[Prices | None, Rates | None]:
    """The command line's --price and --rate; None for one that is not given. Raises UserError for
    an unknown or missing name, and for a number that is none.
    """
    from testtime.config.schema import Prices, Rates

    return _typed(Prices, price, "--price"), _typed(Rates, rate, "--rate")


def _typed(kind: type[T], given: Sequence[str] | None, option: str) -> T | None:
    if not given:
        return None
    from pydantic import ValidationError

    from testtime.config.load import UNKNOWN

    try:
        return kind(**amounts(given, option))
    except ValidationError as error:
        first = error.errors()[0]
        key, said = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        if first["type"] in UNKNOWN:
            said = f"unknown{suggest(key, signature(kind).parameters)}"
        raise UserError(f"{option} {' '.join(given)}: {f'{key}: ' if key else ''}{said}") from None


def drawable(figure: Path | None) -> None:
    """Refuse a figure's file that cannot be written, before the work for it."""
    from testtime.laws.figures import check

    if figure is not None:
        check(figure)


def columns(pairs: Sequence[str] | None) -> dict[str, str]:
    """The command line's --column pairs. Raises UserError for one that is no pair."""
    named = {}
    for pair in pairs or ():
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals and theirs):
            raise UserError(
                f"--column {pair}: write our name = the table's, such as --column "
                f"problem_id=question"
            )
        named[ours.strip()] = theirs.strip()
    return named


def amounts(pairs: Sequence[str], option: str) -> dict[str, float]:
    """`name=number` pairs of a command-line option as a dict. Raises UserError naming the option
    and the pair.
    """
    found = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            raise UserError(
                f"{option} {pair}: write name=number, such as {option} {EXAMPLES[option]}"
            ) from None
    return found
