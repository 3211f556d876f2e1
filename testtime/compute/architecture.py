"""A decoder's matrices, read from its Hugging Face `config.json` without loading the model.

Costs need only a few facts of each layer: how many weights multiply a token, how wide the attention
is, and how far back it sees. They follow from the config exactly, so no torch is imported and no
weights are needed. What differs between families (biases, norms, gates, which layers slide) is one
line each in `families`; tests build every family on the meta device and compare the counts with the
module's own. A family that is not listed is read as Llama-like and marked `assumed`; layers that
are not attention (state spaces, linear attention) are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testtime.compute.families import ALIASES, FAMILIES, NOT_ATTENTION, Family
from testtime.errors import UserError


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer.

    weights: matrix entries that multiply each token (2 FLOPs each); total and active: parameters,
    all and those a token meets; width: heads x (query width + value width), the multiply-adds a
    token spends per key it attends to; window: how many keys it sees at most, itself included (0:
    all).
    """

    weights: int
    total: int
    active: int
    width: int
    window: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """All that costs depend on.

    embedding: parameters of the tables and of an untied output layer; output: entries of the output
    matrix, tied too; norm: parameters of the last norm; assumed: the family is not in `FAMILIES`
    and was read as Llama-like.
    """

    family: str
    assumed: bool
    hidden: int
    layers: tuple[Layer, ...]
    embedding: int
    output: int
    norm: int


def read_config(source: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """The config as a dict: from a mapping, a `config.json`, or a model folder holding one.

    Raises UserError when there is no such file or it is not JSON. Of a multimodal config the
    `text_config` is taken.
    """
    if isinstance(source, Mapping):
        config = dict(source)
    else:
        path = Path(source)
        path = path / "config.json" if path.is_dir() else path
        if not path.is_file():
            raise UserError(f"{path}: no such model config; give a folder that holds config.json")
        try:
            config = dict(json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{path}: not a model config ({error}); expected a JSON object"
            ) from None
    inner = config.get("text_config")
    if isinstance(inner, Mapping):
        config = {"tie_word_embeddings": config.get("tie_word_embeddings"), **inner}
        config = {key: value for key, value in config.items() if value is not None}
    for old, new in ALIASES.items():
        if config.get(old) is not None:
            config.setdefault(new, config[old])
    return config


def architecture(source: Mapping[str, Any] | str | Path) -> Architecture:
    """Read a config (dict, file or folder). Raises UserError naming the missing or unsupported
    key.
    """
    config = read_config(source)
    name = str(config.get("model_type", ""))
    family = FAMILIES.get(name) or Family(mlp_bias="mlp_bias")
    config = {
        **family.defaults,
        **{key: value for key, value in config.items() if value is not None},
    }
    odd = [key for key in NOT_ATTENTION if config.get(key)]
    if odd or config.get("is_encoder_decoder"):
        raise UserError(
            f"model config of type {name!r}: {odd[0] if odd else 'is_encoder_decoder'} is set, "
            f"and FLOPs are counted "
            "for decoders made of attention layers only; use another axis (tokens) for this model"
        )
    hidden, vocab = need(config, "hidden_size"), need(config, "vocab_size")
    norm = hidden * (2 if family.norm_bias else 1)
    layers = tuple(
        _layer(config, family, index, norm) for index in range(need(config, "num_hidden_layers"))
    )
    tied = bool(config.get("tie_word_embeddings", False))
    tables = vocab * hidden + (
        int(config.get("n_positions", 1024)) * hidden if name == "gpt2" else 0
    )
    return Architecture(
        family=name,
        assumed=name not in FAMILIES,
        hidden=hidden,
        layers=layers,
        norm=norm,
        embedding=tables + (0 if tied else vocab * hidden),
        output=vocab * hidden,
    )


def need(config: Mapping[str, Any], key: str) -> int:
    """A positive integer of the config, or a UserError that names it."""
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise UserError(
            f"model config: {key} is {value!r}; a positive whole number is needed to count FLOPs"
        )
    return value


def _flag(config: Mapping[str, Any], flag: bool | str) -> bool:
    return bool(config.get(flag, False)) if isinstance(flag, str) else flag


def _layer(config: Mapping[str, Any], family: Family, index: int, norm: int) -> Layer:
    weights, extra, width = (
        _latent_attention(config) if "kv_lora_rank" in config else _attention(config, family)
    )
    mlp_weights, mlp_total, mlp_active = _mlp(config, family, index)
    fixed = weights + extra + family.norms * norm
    return Layer(
        weights=weights + mlp_weights,
        total=fixed + mlp_total,
        active=fixed + mlp_active,
        width=width,
        window=_window(config, family, index),
    )


def _attention(config: Mapping[str, Any], family: Family) -> tuple[int, int, int]:
    """Matrix entries, other parameters, and width of a layer with (grouped) heads."""
    hidden, heads = need(config, "hidden_size"), need(config, "num_attention_heads")
    dim = int(config.get("head_dim") or hidden // heads)
    groups = int(config.get("num_key_value_heads") or heads)
    queries, keys = heads * dim, groups * dim
    extra = (queries + 2 * keys) * _flag(config, family.qkv_bias) + hidden * _flag(
        config, family.out_bias
    )
    extra += {"": 0, "head": 2 * dim, "full": queries + keys}[family.qk_norm]
    extra += heads if config.get("model_type") == "gpt_oss" else 0  # attention sinks
    return hidden * (2 * queries + 2 * keys), extra, 2 * queries


def _latent_attention(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """The same for multi-head latent attention (DeepSeek-V2, arXiv 2405.04434).

    Keys and values are counted as expanded once a token; attending in the latent space instead
    costs more per key.
    """
    hidden, heads = need(config, "hidden_size"), need(config, "num_attention_heads")
    rank, rope, nope, value = (
        need(config, key)
        for key in ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
    )
    queries = int(config.get("q_lora_rank") or 0)
    biases = (queries + rank + rope + hidden) * bool(config.get("attention_bias", False))
    into = (
        hidden * queries + queries * heads * (nope + rope)
        if queries
        else hidden * heads * (nope + rope)
    )
    weights = into + hidden * (rank + rope) + rank * heads * (nope + value) + heads * value * hidden
    return weights, queries + rank + biases, heads * (nope + rope + value)


def _mlp(config: Mapping[str, Any], family: Family, index: int) -> tuple[int, int, int]:
    """Entries that multiply a token, all parameters, and those it meets: of a plain MLP or a
    mixture of experts.
    """
    hidden = need(config, "hidden_size")
    inner = int(config.get("intermediate_size") or 4 * hidden)
    matrices = 3 if family.gated else 2
    experts = int(config.get("num_experts") or 0)
    dense = (
        index < int(config.get("first_k_dense_replace") or 0)
        or index in (config.get("mlp_only_layers") or [])
        or (index + 1) % int(config.get("decoder_sparse_step") or 1) != 0
    )
    if not experts or dense:
        biases = ((matrices - 1) * inner + hidden) * _flag(config, family.mlp_bias)
        weights = matrices * hidden * inner
        return weights, weights + biases, weights + biases
    chosen = need(config, "num_experts_per_tok")
    inner = int(config.get("moe_intermediate_size") or inner)
    expert = matrices * hidden * inner
    bias = ((matrices - 1) * inner + hidden) * family.expert_bias
    always = hidden * experts  # the router
    if "shared_expert_intermediate_size" in config:
        always += (
            matrices * hidden * int(config["shared_expert_intermediate_size"]) + hidden
        )  # and its gate
    always += matrices * hidden * inner * int(config.get("n_shared_experts") or 0)
    router_bias = experts * family.expert_bias
    return (
        always + chosen * expert,
        always + router_bias + experts * (expert + bias),
        always + router_bias + chosen * (expert + bias),
    )


def _window(config: Mapping[str, Any], family: Family, index: int) -> int:
    """How many keys a token of this layer sees at most; 0 where it sees all."""
    window = int(config.get("sliding_window") or 0)
    kinds = config.get("layer_types")
    if kinds:
        if index >= len(kinds) or kinds[index] not in ("full_attention", "sliding_attention"):
            kind = kinds[index] if index < len(kinds) else "missing"
            raise UserError(
                f"model config: layer_types[{index}] is {kind!r}; known: full_attention, "
                f"sliding_attention"
            )
        return window if kinds[index] == "sliding_attention" else 0
    used = bool(config.get("use_sliding_window", False))
    slides = {
        "": False,
        "all": True,
        "all-if-used": used,
        "late": used and index >= int(config.get("max_window_layers", 28)),
    }.get(family.sliding)
    if slides is None:
        slides = (index + 1) % int(config.get("sliding_window_pattern") or family.sliding) != 0
    return window if slides else 0
