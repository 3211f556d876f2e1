"""Dollars: what a sample costs at a price list, billed as an endpoint bills it.

A budget that cuts a chain takes two requests: the second sends prompt, chain and forced ending back
as input, most of it from the provider's cache. That is what a user pays, so that is what is
counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.errors import UserError, suggest

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars per million tokens of input, of input served from a cache, and of output (thinking
    and answer alike).
    """

    input: float
    output: float
    cached: float

    @classmethod
    def read(cls, prices: Mapping[str, object]) -> Prices:
        """From a mapping with `input`, `output` and, where the cache is cheaper, `cached` (else the
        input price).

        Raises UserError for an unknown or missing key and for a price that is not a number of 0 or
        more.
        """
        for key in prices:
            if key not in ("input", "output", "cached"):
                raise UserError(
                    f"prices: unknown key {key!r}{suggest(key, ('input', 'output', 'cached'))}"
                )
        for key in ("input", "output"):
            if key not in prices:
                raise UserError(
                    f"prices: {key} is missing; give input and output together, in dollars per "
                    f"million tokens"
                )
        filled = {"cached": prices.get("input"), **prices}
        for key in ("input", "output", "cached"):
            value = filled.get(key)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 <= value < float("inf")
            ):
                raise UserError(
                    f"prices: {key} is {value!r}; give dollars per million tokens, 0 or more"
                )
        return cls(*(float(str(filled[key])) for key in ("input", "output", "cached")))

    def sample_usd(
        self, prompt: ArrayLike, thinking: ArrayLike, forced: ArrayLike, answer: ArrayLike
    ) -> Array:
        """Dollars of one sample; token counts are numbers or arrays.

        Where forced is above 0 a second request reads prompt and thinking from the cache and the
        forced ending as new input.
        """
        p, t, f, a = (np.asarray(x, dtype=np.float64) for x in (prompt, thinking, forced, answer))
        again = np.where(f > 0, self.cached * (p + t) + self.input * f, 0.0)
        dollars: Array = (self.input * p + again + self.output * (t + a)) / 1e6
        return dollars
