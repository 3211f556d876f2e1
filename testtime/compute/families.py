"""How families of decoders depart from Llama: one line each, and other names of config keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Family:
    """How a family departs from Llama. Bias flags: True, False, or the config key that decides."""

    gated: bool = True  # gate and up matrices, or one
    qkv_bias: bool | str = "attention_bias"
    out_bias: bool | str = "attention_bias"
    mlp_bias: bool | str = False
    expert_bias: bool = False
    norms: int = 2  # a layer
    norm_bias: bool = False
    qk_norm: str = ""  # "head": one vector of head_dim each for q and k; "full": as wide as q and k
    # which layers slide where `layer_types` is absent: "all", "late", or "k" = all but each k-th
    sliding: str = ""
    defaults: Mapping[str, Any] = field(
        default_factory=dict
    )  # of keys that older config files leave out


_GEMMA = {"tie_word_embeddings": True, "head_dim": 256}
FAMILIES: dict[str, Family] = {
    "llama": Family(mlp_bias="mlp_bias"),
    "granite": Family(mlp_bias="mlp_bias"),
    "smollm3": Family(mlp_bias="mlp_bias", sliding="late", defaults={"tie_word_embeddings": True}),
    "qwen2": Family(qkv_bias=True, out_bias=False, sliding="late"),
    "qwen3": Family(qk_norm="head", sliding="late", defaults={"head_dim": 128}),
    "mistral": Family(sliding="all"),
    "phi3": Family(sliding="all"),
    "gemma": Family(defaults=_GEMMA),
    "gemma2": Family(norms=4, sliding="2", defaults=_GEMMA | {"sliding_window": 4096}),
    "gemma3_text": Family(
        norms=4, qk_norm="head", sliding="6", defaults=_GEMMA | {"sliding_window": 4096}
    ),
    "glm4": Family(norms=4, out_bias=False, defaults={"attention_bias": True, "head_dim": 128}),
    "olmo2": Family(qk_norm="full"),
    "olmo3": Family(qk_norm="full", sliding="4"),
    "gpt_neox": Family(
        gated=False, norm_bias=True, mlp_bias=True, defaults={"attention_bias": True}
    ),
    "gpt2": Family(
        gated=False,
        norm_bias=True,
        mlp_bias=True,
        defaults={"attention_bias": True, "tie_word_embeddings": True},
    ),
    "starcoder2": Family(
        gated=False,
        norm_bias=True,
        qkv_bias="use_bias",
        out_bias="use_bias",
        mlp_bias="use_bias",
        sliding="all",
        defaults={"use_bias": True, "tie_word_embeddings": True},
    ),
    "mixtral": Family(sliding="all"),
    "olmoe": Family(qk_norm="full"),
    "qwen2_moe": Family(
        qkv_bias="qkv_bias", out_bias=False, sliding="late", defaults={"qkv_bias": True}
    ),
    "qwen3_moe": Family(qk_norm="head", sliding="all-if-used"),
    "gpt_oss": Family(
        mlp_bias=True,
        expert_bias=True,
        sliding="2",
        defaults={"attention_bias": True, "head_dim": 64},
    ),
    "deepseek_v3": Family(),
}
# Other names of the same thing in GPT-2's and some mixtures' configs.
ALIASES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "num_local_experts": "num_experts",
    "n_routed_experts": "num_experts",
}
NOT_ATTENTION = (
    "ssm_state_size",
    "mamba_d_state",
    "state_size",
    "linear_num_key_heads",
    "mamba_num_heads",
    "rwkv",
)
