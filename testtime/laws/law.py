"""What a law is: a curve with named parameters, their kinds and starting grid, and where it comes
from.

A law is evaluated in batches: internal parameters (batch, P) at inputs shared by the batch or its
own, giving values (batch, n) and derivatives (batch, P, n). Kinds map the parameters a person reads
to unbounded internal ones (positive through log, unit through logit), so that one unconstrained fit
serves every law. Derivatives are taken by complex steps, exact to rounding and free of hand-made
algebra; sums of power laws, which are fitted thousands of times, have theirs written out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.errors import UserError, suggest

Floats = NDArray[np.float64]
Numbers = NDArray[Any]  # float64, or complex128 within a complex step
Kind = Literal["free", "positive", "unit"]
STEP = 1e-30  # of a complex step: no subtraction, so it can be as small as one likes


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: its name, where it may lie, and the values a fit starts from."""

    name: str
    kind: Kind = "free"
    grid: tuple[float, ...] = (1.0,)

    def inward(self, value: Floats) -> Floats:
        """Internal value of a natural one."""
        if self.kind == "positive":
            log: Floats = np.log(np.maximum(value, 1e-300))
            return log
        if self.kind == "unit":
            inside = np.clip(value, 1e-9, 1 - 1e-9)
            logit: Floats = np.log(inside / (1 - inside))
            return logit
        return value

    def outward(self, theta: Numbers) -> Numbers:
        """Natural value of an internal one."""
        if self.kind == "positive":
            return np.exp(theta)
        if self.kind == "unit":
            return sigmoid(theta)
        return theta

    def slope(self, value: Floats) -> Floats:
        """d natural / d internal, at a natural value."""
        if self.kind == "positive":
            return value
        if self.kind == "unit":
            logistic: Floats = value * (1 - value)
            return logistic
        return np.ones_like(value)


@dataclass(frozen=True)
class Law:
    """y = function(parameters, inputs).

    function takes the natural parameters, each (batch, 1), and the inputs, each (n,) or (batch, n),
    as two lists. log: fitted on log y (losses) rather than y (accuracies). source: paper and
    equation.
    """

    name: str
    formula: str
    parameters: tuple[Parameter, ...]
    inputs: tuple[str, ...]
    output: str
    source: str
    function: Callable[[Sequence[Numbers], Sequence[Numbers]], Numbers] = field(repr=False)
    log: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    def natural(self, theta: Floats) -> Floats:
        """Natural parameters (..., P) of internal ones."""
        return np.stack([p.outward(theta[..., i]) for i, p in enumerate(self.parameters)], axis=-1)

    def internal(self, values: Floats) -> Floats:
        """Internal parameters (..., P) of natural ones."""
        return np.stack([p.inward(values[..., i]) for i, p in enumerate(self.parameters)], axis=-1)

    def slopes(self, values: Floats) -> Floats:
        """d natural / d internal for each parameter: (..., P)."""
        return np.stack([p.slope(values[..., i]) for i, p in enumerate(self.parameters)], axis=-1)

    def __call__(self, values: Mapping[str, float] | ArrayLike, **inputs: ArrayLike) -> Floats:
        """The law's value at natural parameters (a mapping, or an array (..., P)) and inputs by
        name.
        """
        natural = self.ordered(values)
        x = [np.asarray(inputs[name], dtype=np.float64) for name in self.inputs]
        if natural.ndim == 1:
            return np.asarray(self.function(list(natural), x))
        flat = natural.reshape(-1, natural.shape[-1])
        return np.asarray(self.function([flat[:, i, None] for i in range(flat.shape[1])], x))

    def ordered(self, values: Mapping[str, float] | ArrayLike) -> Floats:
        """Natural parameters as an array in this law's order. Raises UserError for a name that is
        missing.
        """
        if isinstance(values, Mapping):
            for name in self.names:
                if name not in values:
                    raise UserError(
                        f"law {self.name!r}: no value for parameter {name!r}{suggest(name, values)}"
                    )
            return np.array([values[name] for name in self.names], dtype=np.float64)
        return np.asarray(values, dtype=np.float64)

    def target(self, y: Floats) -> Floats:
        """What is fitted: y or log y."""
        return np.log(y) if self.log else y

    def evaluate(self, theta: Floats, x: Sequence[Floats]) -> tuple[Floats, Floats]:
        """(fitted scale value (batch, n), derivative by internal parameters (batch, P, n))."""
        natural = [p.outward(theta[:, i, None]) for i, p in enumerate(self.parameters)]
        value = self._fitted(natural, x)
        columns = []
        for i, p in enumerate(self.parameters):
            moved: list[Numbers] = list(natural)
            moved[i] = p.outward(theta[:, i, None] + 1j * STEP)
            columns.append(self._fitted(moved, x).imag / STEP)
        return value, np.stack(columns, axis=1)

    def value(self, theta: Floats, x: Sequence[Floats]) -> Floats:
        """Fitted-scale value alone: (batch, n)."""
        natural = [p.outward(theta[:, i, None]) for i, p in enumerate(self.parameters)]
        fitted: Floats = self._fitted(natural, x)
        return fitted

    def _fitted(self, natural: Sequence[Numbers], x: Sequence[Numbers]) -> Numbers:
        value = self.function(natural, x)
        return np.log(value) if self.log else value

    def learnt_from(self, points: NDArray[np.intp]) -> Law:
        """The law as these points alone would give it: itself, but for laws that bring something
        learnt from the points besides their parameters.
        """
        return self

    def starts(self, fixed: Mapping[str, float] | None = None) -> Floats:
        """Natural starting points (starts, P): the product of the parameters' grids, of one value
        for those that are `fixed`. Raises UserError for a name that is no parameter.
        """
        held = fixed or {}
        for name in held:
            if name not in self.names:
                raise UserError(
                    f"law {self.name!r}: has no parameter {name!r}{suggest(name, self.names)}"
                )
        grids = [(held[p.name],) if p.name in held else p.grid for p in self.parameters]
        mesh = np.meshgrid(*grids, indexing="ij")
        return np.stack([m.ravel() for m in mesh], axis=-1).astype(np.float64)


def sigmoid(z: Numbers) -> Numbers:
    """1 / (1 + exp(-z)) without overflow, for real and complex z."""
    return 0.5 * (1 + np.tanh(z / 2))


@dataclass(frozen=True)
class Term:
    """One term of a sum of power laws: coefficient / product of inputs ** exponents."""

    coefficient: str
    exponents: tuple[tuple[str, str], ...] = ()  # (input, exponent parameter)


@dataclass(frozen=True)
class PowerSum(Law):
    """A law that is a sum of power laws, fitted on its logarithm in log-sum-exp form (Hoffmann et
    al. 2022, appendix D.3).
    """

    terms: tuple[Term, ...] = ()

    def _logs(
        self, theta: Floats, x: Sequence[Floats]
    ) -> tuple[Floats, list[Floats], list[Floats]]:
        """(log of the sum, each term's share of it, logs of the inputs)."""
        at = {name: i for i, name in enumerate(self.names)}
        logs = [np.log(v) for v in x]
        by_input = dict(zip(self.inputs, logs, strict=True))
        terms = []
        for term in self.terms:
            value = theta[:, at[term.coefficient], None]
            for name, exponent in term.exponents:
                value = value - theta[:, at[exponent], None] * by_input[name]
            terms.append(value)
        top = np.maximum.reduce(np.broadcast_arrays(*terms))
        shares = [np.exp(t - top) for t in terms]
        total = sum(shares[1:], shares[0])
        return top + np.log(total), [s / total for s in shares], logs

    def value(self, theta: Floats, x: Sequence[Floats]) -> Floats:
        return self._logs(theta, x)[0]

    def evaluate(self, theta: Floats, x: Sequence[Floats]) -> tuple[Floats, Floats]:
        at = {name: i for i, name in enumerate(self.names)}
        value, shares, logs = self._logs(theta, x)
        by_input = dict(zip(self.inputs, logs, strict=True))
        slope = np.zeros((len(theta), len(self.names), value.shape[1]))
        for term, share in zip(self.terms, shares, strict=True):
            slope[:, at[term.coefficient]] += share
            for name, exponent in term.exponents:
                slope[:, at[exponent]] -= share * by_input[name]
        return value, slope


def power_sum(
    name: str,
    terms: Sequence[Term],
    parameters: Sequence[Parameter],
    inputs: Sequence[str],
    output: str,
    source: str,
) -> PowerSum:
    """A sum of power laws; its formula and function follow from the terms. Coefficients must be
    positive parameters.
    """
    order = {p.name: i for i, p in enumerate(parameters)}
    column = {x: i for i, x in enumerate(inputs)}

    def function(p: Sequence[Numbers], x: Sequence[Numbers]) -> Numbers:
        total: Numbers = np.zeros(())
        for (
            term
        ) in terms:  # in logs: of a steep replicate A and N^alpha overflow, their ratio does not
            with np.errstate(divide="ignore"):
                value = np.log(p[order[term.coefficient]])
            for variable, exponent in term.exponents:
                value = value - p[order[exponent]] * np.log(x[column[variable]])
            total = total + np.exp(value)
        return total

    formula = " + ".join(
        " / ".join([t.coefficient, *(f"{x}^{e}" for x, e in t.exponents)]) for t in terms
    )
    return PowerSum(
        name,
        f"{output} = {formula}",
        tuple(parameters),
        tuple(inputs),
        output,
        source,
        function,
        True,
        tuple(terms),
    )
