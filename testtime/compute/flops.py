"""How many floating-point operations a sample costs, exactly, from the model's config.

A token costs 2 FLOPs per weight that multiplies it (active experts only) plus attention over the
keys it sees: 2 x heads x (query width + value width) per key and layer, causal, cut at a sliding
window. Embedding look-ups are free; the output layer is not, and an engine applies it only where a
token is sampled. Norms, softmax and activations are not counted, as in the literature (Kaplan et
al. 2020, arXiv 2001.08361, section 2.1; Hoffmann et al. 2022, appendix F). Everything works on
numpy arrays and in float64, because 6*N*D overflows int64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.compute.architecture import Architecture, architecture
from testtime.errors import UserError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameter counts. total = embedding + non_embedding; embedding: token and position tables and
    an untied output layer (the convention of Kaplan et al.); active: total without the experts a
    token does not meet.
    """

    total: int
    active: int
    embedding: int
    non_embedding: int


class Flops:
    """FLOPs of one model. All counts of tokens may be numbers or arrays, which broadcast; results
    are float64.
    """

    def __init__(self, model: Architecture) -> None:
        self.model = model
        self._layers = 2.0 * sum(layer.weights for layer in model.layers)
        self._output = 2.0 * model.output
        self._attention: dict[int, float] = {}  # FLOPs per token and key, by window
        for layer in model.layers:
            self._attention[layer.window] = (
                self._attention.get(layer.window, 0.0) + 2.0 * layer.width
            )

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | str | Path) -> Flops:
        """From a Hugging Face config: a dict, a `config.json`, or a model folder.

        Raises UserError where the config lacks a size or holds layers that are not attention.
        """
        return cls(architecture(config))

    @property
    def parameters(self) -> Parameters:
        """Parameter counts, biases and norms included."""
        model = self.model
        layers = sum(layer.total for layer in model.layers) + model.norm
        active = sum(layer.active for layer in model.layers) + model.norm
        return Parameters(
            model.embedding + layers, model.embedding + active, model.embedding, layers
        )

    def forward(
        self, start: ArrayLike, tokens: ArrayLike, logits: ArrayLike = 0, *, causal: bool = True
    ) -> Array:
        """One pass of `tokens` tokens behind `start` cached ones, the output layer applied to
        `logits` of them.

        causal=False counts what eager attention really multiplies: every token with every key,
        windows ignored.
        """
        a, m, sampled = _counts(start=start, tokens=tokens, logits=logits)
        total = self._layers * m + self._output * sampled
        for window, rate in self._attention.items():
            total = total + rate * (
                _keys(a + m, window) - _keys(a, window) if causal else m * (a + m)
            )
        return total

    def prefill(self, n: ArrayLike, cached: ArrayLike = 0) -> Array:
        """A prompt of n tokens, the first `cached` of them already in the cache, with the logits of
        its last token.
        """
        return self.forward(cached, np.subtract(n, cached), 1)

    def decode(self, context: ArrayLike, new: ArrayLike) -> Array:
        """`new` steps of one token each behind `context` tokens, with the logits of each."""
        return self.forward(context, new, new)

    def sample_flops(
        self, prompt: ArrayLike, thinking: ArrayLike, forced: ArrayLike, answer: ArrayLike
    ) -> Array:
        """What somebody who deploys one sample spends on it.

        The prompt is prefilled, `thinking` tokens are sampled, the forced ending is appended
        (prefilled, not sampled) and `answer` tokens are sampled. Each sampled token costs one
        output layer; the last one is never fed back.
        """
        p, t, f, a = _counts(prompt=prompt, thinking=thinking, forced=forced, answer=answer)
        sampled = t + a
        fed = np.maximum(sampled + f - (sampled > 0), 0.0)
        return self.prefill(p) + self.forward(p, fed, np.maximum(sampled - 1, 0.0))

    def call(self, context: ArrayLike, fed: ArrayLike, drawn: ArrayLike) -> Array:
        """One call: behind `context` tokens of which a cache holds all but the last, `fed` tokens
        are read and `drawn` sampled, the last of which is never fed back. The calls of a sample sum
        to its `sample_flops`.
        """
        c, f, d = _counts(context=context, fed=fed, drawn=drawn)
        again = np.minimum(c, 1.0) * (d > 0)
        return self.forward(c - again, f + again + np.maximum(d - 1, 0.0), d)

    def score_flops(self, n: ArrayLike, labels: int = 1) -> Array:
        """A reward model's pass over n tokens: no output layer, a head of `labels` numbers a
        token.
        """
        (m,) = _counts(n=n)
        return self.forward(0, m) + 2.0 * self.model.hidden * labels * m


def _counts(**named: ArrayLike) -> list[Array]:
    """The arguments as float64, each checked to be a count."""
    arrays = []
    for name, value in named.items():
        array = np.asarray(value, dtype=np.float64)
        if np.any(array < 0):
            raise UserError(
                f"FLOPs: {name} is {array.min():g}; a number of tokens must be 0 or more"
            )
        arrays.append(array)
    return arrays


def _keys(end: Array, window: int) -> Array:
    """Sum over positions 1..end of the keys each sees: min(position, window), or all with
    window 0.
    """
    near = np.minimum(end, window) if window else end
    return near * (near + 1) / 2 + (end - near) * window
