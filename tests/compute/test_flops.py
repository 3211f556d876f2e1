"""FLOPs and parameters against the modules themselves, in every family; FLOPs by torch's own
counter.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testtime.compute.architecture import architecture
from testtime.compute.families import FAMILIES
from testtime.compute.flops import Flops
from testtime.errors import UserError

SMALL = {
    "vocab_size": 320, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 160, "max_position_embeddings": 256, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MOE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
CASES: dict[str, list[dict[str, Any]]] = {
    "llama": [{}, {"attention_bias": True, "mlp_bias": True, "head_dim": 32}, {"tie_word_embeddings": True}],
    "granite": [{}],
    "smollm3": [{}],
    "qwen2": [{}, {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 2}],
    "qwen3": [{"head_dim": 32}, {"head_dim": 32, "attention_bias": True, "tie_word_embeddings": True}],
    "mistral": [{"sliding_window": 16}, {"sliding_window": None}],
    "phi3": [{}],
    "gemma": [{"head_dim": 32}],
    "gemma2": [{"head_dim": 32, "sliding_window": 16}],
    "gemma3_text": [{"head_dim": 32, "sliding_window": 16, "num_hidden_layers": 7}],
    "glm4": [{"head_dim": 32}],
    "olmo2": [{}],
    "olmo3": [{"sliding_window": 16}],
    "gpt_neox": [{"num_key_value_heads": 4}],
    "gpt2": [{"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 128}],
    "starcoder2": [{"sliding_window": 16}, {"use_bias": False}],
    "mixtral": [{"num_local_experts": 6, "num_experts_per_tok": 2}],
    "olmoe": [{"num_experts": 6, "num_experts_per_tok": 2}],
    "qwen2_moe": [MOE | {"shared_expert_intermediate_size": 96, "mlp_only_layers": [1]}],
    "qwen3_moe": [MOE | {"head_dim": 32}, MOE | {"head_dim": 32, "decoder_sparse_step": 2}],
    "gpt_oss": [{"num_local_experts": 6, "num_experts_per_tok": 2, "head_dim": 32, "sliding_window": 16}],
    "deepseek_v3": [
        {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 48, "n_group": 2, "topk_group": 1,
         "first_k_dense_replace": 1, "kv_lora_rank": 16, "q_lora_rank": rank, "qk_rope_head_dim": 16,
         "qk_nope_head_dim": 32, "v_head_dim": 32, "num_key_value_heads": 4} for rank in (24, None)
    ],
}  # fmt: skip
EVERY = [(family, changes) for family, cases in CASES.items() for changes in cases]


def _config(family: str, changes: dict[str, Any]) -> Any:
    transformers = pytest.importorskip("transformers")
    sizes = {} if family == "gpt2" else SMALL
    return transformers.AutoConfig.for_model(family, **{**sizes, **({"vocab_size": 320} | changes)})


def _model(config: Any, device: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(
            config, attn_implementation="eager", experts_implementation="eager"
        ).eval()


def test_every_family_has_a_case() -> None:
    assert set(CASES) == set(FAMILIES)


@pytest.mark.parametrize(
    ("family", "changes"), EVERY, ids=[f"{f}-{i}" for i, (f, _) in enumerate(EVERY)]
)
def test_parameters_equal_the_modules(family: str, changes: dict[str, Any]) -> None:
    config = _config(family, changes)
    counted = Flops.from_config(config.to_dict()).parameters
    model = _model(config, "meta")
    assert counted.total == sum(p.numel() for p in model.parameters())
    assert counted.total == counted.embedding + counted.non_embedding
    assert (counted.active < counted.total) == any(
        "experts" in key and config.to_dict()[key] for key in config.to_dict()
    )


@pytest.mark.parametrize(
    ("family", "changes"), EVERY, ids=[f"{f}-{i}" for i, (f, _) in enumerate(EVERY)]
)
def test_flops_equal_torchs_counter(family: str, changes: dict[str, Any]) -> None:
    """Eager attention multiplies full squares; a decode step multiplies exactly the keys in the
    cache.
    """
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    config = _config(family, changes)
    flops, model, n = Flops.from_config(config.to_dict()), _model(config, "cpu"), 48
    ids = torch.arange(3, n + 3)[None] % 320
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            cache = model(ids, use_cache=True).past_key_values
        assert flops.forward(0, n, n, causal=False) == pytest.approx(
            counter.get_total_flops(), rel=0.01
        )
        if family == "deepseek_v3":
            # the module expands its whole latent cache again at every step; counted is once a token
            return
        with FlopCounterMode(display=False) as counter:
            model(ids[:, :1], past_key_values=cache)
    assert flops.decode(n, 1) == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_a_sliding_layer_attends_to_no_more_than_its_window() -> None:
    config = SMALL | {"model_type": "mistral", "sliding_window": 16}
    flops, whole = Flops.from_config(config), Flops.from_config(config | {"sliding_window": None})
    assert flops.decode(15, 1) == whole.decode(15, 1)
    per_key = 2 * 4 * (2 * 64)  # FLOPs x layers x (query + value width)
    assert whole.decode(40, 1) - flops.decode(40, 1) == per_key * (41 - 16)


def test_passes_add_up() -> None:
    """Prefill and decode in any division cost the same; a sample is its tokens, each fed once but
    the last.
    """
    flops = Flops.from_config(SMALL | {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 9,
                                       "max_window_layers": 1})  # fmt: skip
    assert flops.forward(0, 30) == flops.forward(0, 11) + flops.forward(11, 19)
    assert flops.decode(10, 7) == sum(flops.decode(10 + i, 1) for i in range(7))
    assert flops.prefill(20, cached=8) + flops.prefill(8) == flops.prefill(20) + flops.forward(
        0, 0, 1
    )
    assert flops.sample_flops(20, 5, 0, 0) == flops.prefill(20) + flops.decode(20, 4)
    # thinking cut after 5, an ending of 3, an answer of 2: logits for 7 tokens, 20 + 5 + 3 + 1
    # tokens fed
    assert flops.sample_flops(20, 5, 3, 2) == flops.forward(0, 29, 7)
    assert flops.sample_flops(20, 0, 3, 2) == flops.forward(0, 24, 2)
    assert flops.sample_flops(20, 0, 0, 0) == flops.prefill(20)


def test_counts_are_arrays_in_float64() -> None:
    flops = Flops.from_config(SMALL | {"model_type": "llama"})
    many = flops.sample_flops(np.array([10, 20]), np.array([[0], [10**6]]), 2, 5)
    assert many.shape == (2, 2) and many.dtype == np.float64
    assert many[1, 0] == flops.sample_flops(10, 10**6, 2, 5)
    assert flops.forward(0, 1e15) > 0  # far beyond int64 once squared


def test_known_models() -> None:
    """Parameter counts as their authors state them."""
    qwen = {"model_type": "qwen3_moe", "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 48,
            "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128,
            "num_experts_per_tok": 8, "moe_intermediate_size": 768}  # fmt: skip
    count = Flops.from_config(qwen).parameters
    assert (
        round(count.total / 1e9, 1) == 30.5 and round(count.active / 1e9, 1) == 3.4
    )  # Qwen3-30B-A3B
    assert round(count.non_embedding / 1e9, 1) == 29.9


def test_config_from_a_folder_and_from_a_multimodal_config(tmp_path: Path) -> None:
    config = SMALL | {"model_type": "llama"}
    (tmp_path / "config.json").write_text(json.dumps({"text_config": config, "vision_config": {}}))
    assert Flops.from_config(tmp_path).parameters == Flops.from_config(config).parameters


def test_an_unlisted_family_is_read_as_llama_and_says_so() -> None:
    model = architecture(SMALL | {"model_type": "brandnew"})
    assert model.assumed and not architecture(SMALL | {"model_type": "llama"}).assumed


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"model_type": "llama"}, "hidden_size"),
        (SMALL | {"model_type": "mamba", "state_size": 16}, "state_size"),
        (SMALL | {"model_type": "x", "layer_types": ["linear_attention"] * 4}, "linear_attention"),
        (SMALL | {"model_type": "mixtral", "num_local_experts": 4}, "num_experts_per_tok"),
    ],
)
def test_a_config_that_cannot_be_counted_is_refused_by_name(
    config: dict[str, Any], word: str
) -> None:
    with pytest.raises(UserError, match=word):
        Flops.from_config(config)


def test_a_missing_file_and_negative_tokens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such model config"):
        Flops.from_config(tmp_path / "absent")
    flops = Flops.from_config(SMALL | {"model_type": "llama"})
    with pytest.raises(UserError, match="thinking is -1"):
        flops.sample_flops(1, -1, 0, 1)
