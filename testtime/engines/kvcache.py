"""The key-value cache of a batch whose rows come and go.

Rows are right-aligned: every row's newest token stands in the same column, so one step writes one
column and any model of `transformers` runs on it with an ordinary two-dimensional attention mask.
Buffers are allocated ahead (the library's own dynamic cache copies everything at each step), and
rows leave and join in one copy.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

HEADROOM = 64  # columns allocated ahead


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer: buffers (rows, heads, capacity, width), of which `length`
    columns are filled.
    """

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys, self.values = _room(key_states, HEADROOM), _room(value_states, HEADROOM)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[2]
        if end > self.keys.shape[2]:
            extra = max(HEADROOM, end // 2)
            self.keys, self.values = (
                _grown(x, self.length, end + extra) for x in (self.keys, self.values)
            )
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return -1


def _room(states: torch.Tensor, extra: int) -> torch.Tensor:
    rows, heads, columns, width = states.shape
    return states.new_zeros(rows, heads, columns + extra, width)


def _grown(buffer: torch.Tensor, length: int, capacity: int) -> torch.Tensor:
    out = buffer.new_zeros(*buffer.shape[:2], capacity, buffer.shape[3])
    out[:, :, :length] = buffer[:, :, :length]
    return out


def new_cache() -> Cache:
    """An empty cache; its layers appear with the first forward pass."""
    return Cache(layer_class_to_replicate=_Layer)


def join(parts: list[tuple[Cache, torch.Tensor, torch.Tensor]]) -> tuple[Cache, torch.Tensor]:
    """One right-aligned batch out of chosen rows of several.

    parts: (cache, mask, rows): mask is (all rows, columns) with 1 where a column holds a token of
    that row, rows the indices to keep. Columns that no kept row uses are dropped on the left.
    Returns the cache and its mask.
    """
    masks = [mask[rows] for _, mask, rows in parts]
    used = [int(mask.sum(1).max()) for mask in masks]
    width = max(used)
    mask = torch.cat(
        [_right_aligned(m[:, m.shape[1] - u :], width) for m, u in zip(masks, used, strict=True)]
    )
    out = new_cache()
    for index in range(len(parts[0][0].layers)):
        layer = _Layer()
        for name in ("keys", "values"):
            first = getattr(parts[0][0].layers[index], name)
            buffer = first.new_zeros(len(mask), first.shape[1], width + HEADROOM, first.shape[3])
            top = 0
            for (cache, _, rows), u in zip(parts, used, strict=True):
                source = cache.layers[index]
                columns = getattr(source, name)[rows, :, source.length - u : source.length]
                buffer[top : top + len(rows), :, width - u : width] = columns
                top += len(rows)
            setattr(layer, name, buffer)
        layer.length, layer.is_initialized = width, True
        out.layers.append(layer)
    return out, mask


def _right_aligned(mask: torch.Tensor, width: int) -> torch.Tensor:
    out = mask.new_zeros(len(mask), width)
    out[:, width - mask.shape[1] :] = mask
    return out
