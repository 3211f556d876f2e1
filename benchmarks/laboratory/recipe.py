"""What to train, read from a YAML: the rungs, their seeds, and the token counts at which a
checkpoint is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Rung:
    """One size of model and the seeds it is trained with."""

    name: str
    hidden: int
    layers: int
    heads: int
    mlp: int
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """A whole YAML.

    rate: the peak learning rate is rate / hidden. cut: the share of chains closed by force.
    cooldown: the part of each checkpoint's tokens over which the learning rate falls to 0.
    held_out: examples of the held-out set.
    """

    rungs: dict[str, Rung]
    tokens: tuple[int, ...]
    rate: float
    cut: float
    batch_tokens: int
    held_out: int
    warmup_tokens: int = 50_000
    cooldown: float = 0.2
    weight_decay: float = 0.1


def load(path: str | Path) -> Recipe:
    """The recipe at `path`."""
    raw: dict[str, Any] = yaml.safe_load(Path(path).read_text())
    rungs = [Rung(**{**one, "seeds": tuple(one["seeds"])}) for one in raw.pop("rungs")]
    tokens = tuple(int(float(n)) for n in raw.pop("tokens"))
    return Recipe(rungs={rung.name: rung for rung in rungs}, tokens=tokens, **raw)


def build(rung: Rung, seed: int) -> Any:
    """A freshly initialised Hugging Face model for this rung."""
    from benchmarks.laboratory.vocabulary import build as tokenizer

    return llama(rung, seed, tokenizer(), tied=True)


def llama(shape: Any, seed: int, tokenizer: Any, tied: bool) -> Any:
    """A freshly initialised Llama. shape: hidden, layers, heads and mlp of a rung; head width 32,
    which vLLM's CPU attention takes.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden,
            intermediate_size=shape.mlp,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            head_dim=32,
            max_position_embeddings=2048,
            tie_word_embeddings=tied,
            initializer_range=shape.hidden**-0.5 / 2,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def sizes(model: Any) -> tuple[int, int]:
    """(non-embedding, total) parameters; the first as in Kaplan et al. 2020, without the embeddings
    (tied).
    """
    total = sum(p.numel() for p in model.parameters())
    return total - model.model.embed_tokens.weight.numel(), total
