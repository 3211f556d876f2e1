"""Calls form a tree: a node is a place in it, where the next call stands.

So a call's key follows from where it stands and what it asks, never from hashing whole prefixes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

Ids = tuple[int, ...]
Turns = tuple[dict[str, Any], ...]


def key_of(*parts: object) -> str:
    """A hash of whatever determines a call, or a recipe."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, eq=False)
class Node:
    """A place in the tree of calls: tokens kept of one call, then what was fed after them.

    key: of the call, or of the prompt (then `base` is None and `kept` are the prompt's ids, none
    where a server keeps the tokenizer: such a node carries no ids and cannot be cut). turns: the
    prompt's chat turns, or empty for plain text.
    """

    key: str
    base: Node | None
    kept: Sequence[int]
    logprobs: Sequence[float] = ()
    fed: Ids = ()
    turns: Turns = ()

    def feed(self, ids: Ids) -> Node:
        return replace(self, fed=self.fed + ids)

    def behind(self, key: str, *turns: dict[str, Any]) -> Node:
        """The place behind a message that a server drew here, and what was said after it."""
        return Node(key, self, (), turns=(*self.turns, *turns))

    @property
    def root(self) -> Node:
        return self if self.base is None else self.base.root

    @property
    def length(self) -> int:
        """Tokens after the prompt."""
        return len(self.fed) + (0 if self.base is None else self.base.length + len(self.kept))

    @property
    def context(self) -> list[int]:
        """All token ids up to here, the prompt's included."""
        return [*(() if self.base is None else self.base.context), *self.kept, *self.fed]

    @property
    def sampled(self) -> list[int]:
        """The ids that were sampled right before this place, in one call or several."""
        return [] if self.base is None or self.fed else [*self.base.sampled, *self.kept]

    @property
    def sampled_logprobs(self) -> list[float]:
        """Of every token that was sampled on the way here; what was fed has none."""
        return [] if self.base is None else [*self.base.sampled_logprobs, *self.logprobs]

    def first(self, own: str) -> str:
        """The first call below the prompt on the way here, `own` where there is none: an engine
        with replicas sends what shares it to the same one.
        """
        if self.base is None:
            return own
        return self.base.first(self.key)

    def cut(self, tokens: int) -> Node:
        """The place after the first `tokens` tokens behind the prompt."""
        before = 0 if self.base is None else self.base.length
        if self.base is not None and tokens <= before:
            return self.base.cut(tokens)
        drawn = 0 if self.base is None else len(self.kept)
        if self.base is not None and tokens < before + drawn:
            own = tokens - before
            return replace(self, kept=self.kept[:own], logprobs=self.logprobs[:own], fed=())
        return replace(self, fed=self.fed[: tokens - before - drawn])
