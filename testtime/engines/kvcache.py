"""The key-value cache of a batch whose rows come and go, and what is kept of rows that have left.

Rows are right-aligned: the newest token of every row stands in the same column, so one step writes
one column, and a row is known by its slot and the column where it starts. A row that joins is
written into a free slot and nobody else moves; columns before the oldest row are dropped when the
buffers are full. Any attention layer of `transformers` runs on it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import Cache, CacheLayerMixin

HEADROOM = 64  # columns allocated ahead, at least
NOWHERE = 1 << 40  # where a free slot's row starts
PREFIX_BYTES = 1 << 30  # keys and values kept of rows that have left


@dataclass
class Window:
    """The columns in use, begin to end, the last `new` of which are written by the next pass."""

    rows: int = 0
    begin: int = 0
    end: int = 0
    new: int = 0


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer: buffers (slots, heads, capacity, width) behind one window."""

    is_sliding = False

    def __init__(self, window: Window, capacity: int) -> None:
        super().__init__()
        self.window, self.capacity = window, capacity

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys, self.values = (
            # Never-written columns meet weights of 0, and 0 times NaN would be NaN.
            x.new_zeros(x.shape[0], x.shape[1], self.capacity, x.shape[3])
            for x in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        w = self.window
        self.keys[:, :, w.end - w.new : w.end] = key_states
        self.values[:, :, w.end - w.new : w.end] = value_states
        return self.keys[:, :, w.begin : w.end], self.values[:, :, w.begin : w.end]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.window.end - self.window.begin, 0

    def get_seq_length(self) -> int:
        return self.window.end - self.window.begin - self.window.new

    def get_max_length(self) -> int:
        return -1


Piece = list[tuple[torch.Tensor, torch.Tensor]]  # a row's keys and values, layer by layer


class Rows(Cache):  # type: ignore[misc]
    """The cache of a batch. starts: each row's first column (rows,), NOWHERE for a free slot;
    capacity: columns of the buffers. Layers appear with what is first written.
    """

    def __init__(self, starts: np.ndarray, capacity: int) -> None:
        self.window, self.starts, self.capacity = Window(len(starts)), starts, capacity
        super().__init__(layer_class_to_replicate=self._layer)

    def _layer(self) -> _Layer:
        return _Layer(self.window, self.capacity)

    def _like(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Add a layer of the shape of these (any, heads, any, width)."""
        layer = self._layer()
        layer.lazy_initialization(
            *(x[:1].expand(self.window.rows, -1, -1, -1) for x in (keys, values))
        )
        self.layers.append(layer)

    def advance(self, columns: int) -> None:
        """Make the next pass write this many new columns."""
        self.window.new = columns
        self.window.end += columns

    def leave(self, slots: np.ndarray) -> None:
        """Forget these rows; columns before the oldest row are read no more."""
        self.starts[slots] = NOWHERE
        self.window.begin = min(int(self.starts.min()), self.window.end)

    def cut(self, row: int, length: int) -> Piece:
        """A copy of the first tokens of a row: keys and values (heads, length, width)."""
        at = slice(int(self.starts[row]), int(self.starts[row]) + length)
        return [(x.keys[row, :, at].clone(), x.values[row, :, at].clone()) for x in self.layers]

    def put(self, row: int, piece: Piece, length: int) -> None:
        """Write the first `length` tokens of a piece where the row starts."""
        at = slice(int(self.starts[row]), int(self.starts[row]) + length)
        for index, (keys, values) in enumerate(piece):
            if index == len(self.layers):
                self._like(keys[None], values[None])
            self.layers[index].keys[row, :, at] = keys[:, :length]
            self.layers[index].values[row, :, at] = values[:, :length]

    def take(self, slots: Sequence[int], group: Rows) -> None:
        """Write another batch's rows into slots, its newest column on ours."""
        width = group.window.end
        shift = self.window.end - width
        self.starts[slots] = group.starts + shift
        self.window.begin = int(self.starts.min())
        for index, theirs in enumerate(group.layers):
            if index == len(self.layers):
                self._like(theirs.keys, theirs.values)
            mine = self.layers[index]
            mine.keys[slots, :, shift : shift + width] = theirs.keys[:, :, :width]
            mine.values[slots, :, shift : shift + width] = theirs.values[:, :, :width]

    def moved(self, kept: np.ndarray, rows: int, width: int) -> Rows:
        """A batch of `rows` slots with these rows in the first ones, unused columns dropped, and
        room for rows of `width` columns.
        """
        begin = min(int(self.starts[kept].min(initial=NOWHERE)), self.window.end)
        used = self.window.end - begin
        end = max(used, width)
        starts = np.full(rows, NOWHERE)
        starts[: len(kept)] = self.starts[kept] + end - self.window.end
        out = Rows(starts, end + max(HEADROOM, end // 2))
        out.window.begin, out.window.end = end - used, end
        for old in self.layers:
            out._like(old.keys, old.values)
            new = out.layers[-1]
            new.keys[: len(kept), :, end - used : end] = old.keys[kept, :, begin : begin + used]
            new.values[: len(kept), :, end - used : end] = old.values[kept, :, begin : begin + used]
        return out


class Prefixes:
    """What rows that left were computed for, by their affinity: the longest row of each, the least
    recently used ones forgotten beyond PREFIX_BYTES.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[tuple[int, ...], Piece]] = OrderedDict()
        self._bytes = 0

    def find(self, affinity: str, prompt: Sequence[int]) -> tuple[Piece, int]:
        """A piece and how many of its tokens the prompt begins with; its last is never among
        them, since somebody must compute what follows it.
        """
        if affinity not in self._kept:
            return [], 0
        self._kept.move_to_end(affinity)
        ids, piece = self._kept[affinity]
        most = min(len(ids), len(prompt) - 1)
        if tuple(prompt[:most]) == ids[:most]:
            return piece, most
        return piece, next(i for i in range(most) if prompt[i] != ids[i])

    def wants(self, affinity: str, length: int) -> bool:
        """Whether a row of this length is longer than what is kept."""
        return bool(affinity) and length > len(self._kept.get(affinity, ((), []))[0])

    def keep(self, affinity: str, ids: tuple[int, ...], piece: Piece) -> None:
        if affinity in self._kept:
            self._bytes -= _size(self._kept.pop(affinity)[1])
        self._kept[affinity] = ids, piece
        self._bytes += _size(piece)
        while self._bytes > PREFIX_BYTES:
            self._bytes -= _size(self._kept.popitem(last=False)[1][1])


def _size(piece: Piece) -> int:
    return sum(x.nbytes for pair in piece for x in pair)
