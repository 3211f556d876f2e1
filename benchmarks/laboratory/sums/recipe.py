"""What to train, read from a YAML: the mixture, the optimizer, and the rungs with the token counts
to stop at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.laboratory.recipe import llama
from benchmarks.laboratory.sums.data import Mixture


@dataclass(frozen=True)
class Rung:
    """One model: sizes, peak learning rate, and the training-token counts at which a finished
    checkpoint is wanted.
    """

    name: str
    hidden: int
    layers: int
    heads: int
    mlp: int
    lr: float
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """A whole YAML. `cooldown` is the part of each checkpoint's tokens over which the learning rate
    falls to 0.
    """

    mixture: Mixture
    rungs: dict[str, Rung]
    seed: int = 1
    batch_tokens: int = 4096
    warmup_tokens: int = 200_000
    cooldown: float = 0.2
    weight_decay: float = 0.1
    held_out: int = 3000


def load(path: str | Path) -> Recipe:
    """The recipe at `path`."""
    raw: dict[str, Any] = yaml.safe_load(Path(path).read_text())
    rungs = [
        Rung(**{**one, "tokens": tuple(int(float(n)) for n in one["tokens"])})
        for one in raw.pop("rungs")
    ]
    return Recipe(
        mixture=Mixture(**raw.pop("mixture")), rungs={rung.name: rung for rung in rungs}, **raw
    )


def build(rung: Rung, seed: int) -> Any:
    """A freshly initialised Hugging Face model for this rung."""
    from benchmarks.laboratory.sums.vocabulary import build as tokenizer

    return llama(rung, seed, tokenizer(), tied=False)


def sizes(model: Any) -> tuple[int, int]:
    """(non-embedding, total) parameters; the first as in Kaplan et al. 2020, without input and
    output embeddings.
    """
    total = sum(p.numel() for p in model.parameters())
    return total - model.lm_head.weight.numel() - model.model.embed_tokens.weight.numel(), total
