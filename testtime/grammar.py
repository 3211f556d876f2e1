"""How selectors and stopping rules are written, and the one parser that reads them.

`majority`, `weighted-logit:reward`, `filtered:logprob_mean:0.5`, `beta:0.95`: a kind, then a column
of the scores table where the kind takes one, then its numbers. This lies at the bottom of the house
because the config checks such names long before an estimator is loaded; what a name computes stands
in `estimators.selectors` and `estimators.stopping`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testtime.errors import UserError, suggest

COLUMN = "COLUMN"
RANGES = {  # of a number: lowest, highest, whether it is whole
    "SHARE": (0.0, 1.0, False),
    "LEVEL": (0.0, 1.0, False),
    "COUNT": (1.0, float("inf"), True),
    "BAR": (float("-inf"), float("inf"), False),
}


@dataclass(frozen=True, slots=True)
class Form:
    """How a kind is written: the arguments after the colons (COLUMN, then names of RANGES), those
    with a default last; votes: whether it groups samples by their answer.
    """

    arguments: tuple[str, ...] = ()
    defaults: tuple[float, ...] = ()
    votes: bool = True

    def written(self, kind: str) -> str:
        """As an error message shows it: `filtered:COLUMN:SHARE`."""
        return ":".join((kind, *self.arguments))


@dataclass(frozen=True, slots=True)
class Name:
    """A name as read: its text, kind, column ("" where it has none) and numbers, defaults filled
    in.
    """

    text: str
    kind: str
    column: str
    numbers: tuple[float, ...]
    votes: bool

    def __str__(self) -> str:
        return self.text


SELECTORS: dict[str, Form] = {
    "mean": Form(votes=False),  # one sample
    "majority": Form(),
    "oracle": Form(votes=False),  # pass@n: nobody can deploy it
    "best": Form((COLUMN,), votes=False),  # the sample with the highest score
    "weighted": Form((COLUMN,)),  # votes weighed by the column as it is, at least 0
    "weighted-logit": Form((COLUMN,)),  # the column holds log-odds: weights are their sigmoid
    "weighted-logprob": Form((COLUMN,)),  # it holds log-probabilities: weights are their exp
    "genselect": Form((COLUMN,), votes=False),  # what a model took of k shown; COLUMN is NAME_k
    "filtered": Form((COLUMN, "SHARE")),  # vote of the best share by the column
    "shortest": Form(("COUNT",)),  # vote of the k chains that end first
    "longest": Form(("COUNT",)),
}
RULES: dict[str, Form] = {
    "fixed": Form(),  # all n samples
    "beta": Form(("LEVEL",), (0.95,)),
    "dirichlet": Form(("LEVEL",), (0.95,)),
    "esc": Form(("COUNT",), (5,)),
    "share": Form(("SHARE",), (0.75,)),
    "bar": Form((COLUMN, "BAR")),
    "deepconf": Form((COLUMN, "SHARE", "COUNT", "LEVEL"), (0.1, 16, 0.95)),
}
PROBES: dict[str, Form] = {
    "agree": Form(("COUNT",), (2,)),
    "certain": Form((COLUMN, "BAR")),
    "change": Form(("COUNT",), (1,)),
}


def parse(text: str, forms: Mapping[str, Form], what: str = "selector") -> Name:
    """Read a name. forms: SELECTORS, RULES or PROBES; what: the noun of the error message.

    Raises UserError for unknown kinds, missing or superfluous arguments and numbers out of range.
    """
    kind, colon, rest = text.partition(":")
    if kind not in forms:
        known = ", ".join(form.written(k) for k, form in forms.items())
        raise UserError(f"{what} {text!r} does not exist{suggest(kind, forms)}; write {known}")
    form = forms[kind]
    wanted = list(form.arguments)
    column, parts = "", rest.split(":") if colon else []
    if wanted[:1] == [COLUMN]:
        wanted = wanted[1:]
        # a column's own name may hold colons: what reads as a number at the end is not part of it
        spare = 0
        while spare < min(len(wanted), len(parts) - 1) and _is_number(parts[-1 - spare]):
            spare += 1
        column = ":".join(parts[: len(parts) - spare])
        parts = parts[len(parts) - spare :]
    missing = len(wanted) - len(parts)
    if (COLUMN in form.arguments and not column) or not 0 <= missing <= len(form.defaults):
        raise UserError(f"{what} {text!r}: write {form.written(kind)}")
    numbers = [_number(text, part, name, what) for part, name in zip(parts, wanted, strict=False)]
    numbers += form.defaults[len(form.defaults) - missing :] if missing else ()
    return Name(text, kind, column, tuple(numbers), form.votes)


def selector(text: str) -> Name:
    """`parse` for selectors."""
    return parse(text, SELECTORS)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str, part: str, name: str, what: str) -> float:
    low, high, whole = RANGES[name]
    value = float(part) if _is_number(part) else float("nan")
    open_end = name in ("SHARE", "LEVEL") and (value == 0 or (name == "LEVEL" and value == 1))
    if not low <= value <= high or open_end or (whole and value % 1):
        kind = "a whole number from 1" if whole else "a number"
        kind = (
            f"a number above 0 and {'up to' if name == 'SHARE' else 'below'} 1"
            if high == 1
            else kind
        )
        raise UserError(f"{what} {text!r}: {name} is {kind}, got {part!r}")
    return value
