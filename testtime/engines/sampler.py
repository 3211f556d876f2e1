"""How the embedded engine draws a token: one uniform number a token inverts the distribution.

The numbers come from a counter-based stream of the request's own, so its noise does not depend on
who else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from testtime.config.schema import Sampling


def noise(seed: int, count: int) -> np.ndarray:
    """Uniform numbers (count,): cheap to seed, the same stream whatever the batch."""
    return np.random.Generator(np.random.Philox(seed)).random(count)


@dataclass
class Filters:
    """Each row's sampling as columns (rows,)."""

    temperature: np.ndarray
    top_k: np.ndarray
    top_p: np.ndarray
    min_p: np.ndarray

    @classmethod
    def of(cls, samplings: Sequence[Sampling]) -> Filters:
        names = ("temperature", "top_k", "top_p", "min_p")
        return cls(*(np.array([getattr(s, name) for s in samplings]) for name in names))

    def __getitem__(self, rows: np.ndarray) -> Filters:
        return Filters(self.temperature[rows], self.top_k[rows], self.top_p[rows], self.min_p[rows])


def draw(logprobs: torch.Tensor, filters: Filters, uniforms: np.ndarray) -> torch.Tensor:
    """Next tokens (rows,) from raw log-probabilities (rows, vocabulary) and one uniform number a
    row.

    Temperature first, then top-k, top-p and min-p, as vLLM does; temperature 0 takes the most
    likely token. Penalties are not known to this engine.
    """
    if not filters.temperature.any():
        return logprobs.argmax(-1)

    def column(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(logprobs.device)[:, None]

    if (filters.temperature == 1).all():
        probs = logprobs.double().exp()
    else:
        divisor = np.where(filters.temperature > 0, filters.temperature, 1.0)
        scaled = logprobs / column(divisor).to(logprobs.dtype)
        probs = torch.softmax(scaled.double(), dim=-1)
    if filters.top_k.any() or (filters.top_p < 1).any() or filters.min_p.any():
        top_k, top_p, min_p = map(column, (filters.top_k, filters.top_p, filters.min_p))
        values, order = probs.sort(dim=-1, descending=True)
        rank = torch.arange(values.shape[1], device=values.device)[None]
        values = values.where((top_k == 0) | (rank < top_k), 0)
        values = values / values.sum(1, keepdim=True)
        values = values.where((values.cumsum(1) - values < top_p) | (rank == 0), 0)
        values = values.where(values >= min_p * values[:, :1], 0)
        probs = torch.zeros_like(probs).scatter(1, order, values)
    cumulative = probs.cumsum(-1)
    drawn = torch.searchsorted(cumulative, column(uniforms) * cumulative[:, -1:], right=True)[:, 0]
    drawn = drawn.clamp(max=logprobs.shape[1] - 1)
    if filters.temperature.all():
        return drawn
    return torch.where(column(filters.temperature)[:, 0] > 0, drawn, logprobs.argmax(-1))
