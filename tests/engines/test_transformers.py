"""The embedded engine against the library's own generation, and its draws against their
distribution.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from testtime.config.schema import Sampling
from testtime.engines.base import Completion, EngineError, Request
from testtime.engines.sampler import Filters, draw
from testtime.engines.transformers import TransformersEngine
from testtime.errors import UserError

GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama with grouped heads, wide enough to disagree with itself after a
    wrong position.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }
    config = LlamaConfig(
        vocab_size=50,
        max_position_embeddings=256,
        eos_token_id=3,
        bos_token_id=1,
        initializer_range=0.4,
        **sizes,
    )
    path = tmp_path_factory.mktemp("model")
    LlamaForCausalLM(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[TransformersEngine]:
    made = TransformersEngine(folder, max_num_seqs=4)
    yield made
    asyncio.run(made.close())


def ask(engine: TransformersEngine, requests: list[Request]) -> list[Completion]:
    async def all_of_them() -> list[Completion]:
        return await asyncio.gather(*map(engine.complete, requests))

    return asyncio.run(all_of_them())


@pytest.fixture(params=["full attention", "sliding windows", "learned positions"])
def family(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Iterator[Any]:
    """Engines of models whose masks or positions are made otherwise."""
    from transformers import GPT2Config, GPT2LMHeadModel, MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    ends = {"vocab_size": 50, "eos_token_id": 3, "bos_token_id": 1, "initializer_range": 0.4}
    if request.param == "sliding windows":
        sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": 12}
        config = MistralConfig(**ends, **sizes, **heads, max_position_embeddings=256)
        MistralForCausalLM(config).save_pretrained(folder := tmp_path)
    elif request.param == "learned positions":
        config = GPT2Config(**ends, n_embd=64, n_layer=2, n_head=2, n_positions=64)
        GPT2LMHeadModel(config).save_pretrained(folder := tmp_path)
    made = TransformersEngine(folder, max_num_seqs=4)
    yield made
    asyncio.run(made.close())


def test_rows_that_join_and_leave_decode_as_each_would_alone(family: TransformersEngine) -> None:
    engine = family
    prompts = [tuple((7 * i + j) % 46 + 4 for j in range(2 + 3 * i)) for i in range(12)]
    lengths = [5 + (11 * i) % 25 for i in range(12)]
    found = ask(engine, [Request(p, n, 0, GREEDY) for p, n in zip(prompts, lengths, strict=True)])
    for prompt, length, completion in zip(prompts, lengths, found, strict=True):
        ids = torch.tensor([prompt])
        alone = engine.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=length,
            do_sample=False,
            pad_token_id=0,
        )
        assert completion.token_ids == alone[0, len(prompt) :].tolist()
        with torch.inference_mode():
            logits = engine.model(alone).logits[0, len(prompt) - 1 : -1]
        expected = torch.log_softmax(logits, -1).gather(1, alone[0, len(prompt) :, None])[:, 0]
        assert completion.logprobs == pytest.approx(expected.tolist(), abs=1e-4)
        assert completion.prompt_tokens == len(prompt)


def test_a_seed_gives_the_same_sample_whoever_is_in_the_batch(engine: TransformersEngine) -> None:
    one = Request((5, 6, 7), 20, 42)
    others = [Request((5, 6, 7), 20, seed) for seed in range(9)]
    alone = ask(engine, [one])[0]
    assert ask(engine, [*others, one])[-1].token_ids == alone.token_ids
    assert len({tuple(c.token_ids) for c in ask(engine, others)}) > 1


def test_it_stops_after_a_stop_id_and_at_the_end_token_unless_told_to_go_on(
    engine: TransformersEngine,
) -> None:
    free = ask(engine, [Request((5, 6), 60, 1, ignore_eos=True)])[0]
    assert free.finish == "length" and len(free.token_ids) == 60
    stop = free.token_ids[10]
    cut = ask(engine, [Request((5, 6), 60, 1, stop_token_ids=(stop,), ignore_eos=True)])[0]
    assert (
        cut.finish == "stop" and cut.token_ids == free.token_ids[: free.token_ids.index(stop) + 1]
    )
    assert 3 in free.token_ids
    ended = ask(engine, [Request((5, 6), 60, 1)])[0]
    assert (
        ended.finish == "stop" and ended.token_ids == free.token_ids[: free.token_ids.index(3) + 1]
    )


def test_an_answer_computes_only_what_follows_the_chain_it_stands_on(
    engine: TransformersEngine,
) -> None:
    prompts = [tuple((5 * i + j) % 46 + 4 for j in range(4 + i)) for i in range(6)]
    chains = [
        Request(p, 10 + 7 * i, 0, GREEDY, ignore_eos=True, affinity=f"chain {i}")
        for i, p in enumerate(prompts)
    ]
    answers = []
    for chain, done in zip(chains, ask(engine, chains), strict=True):
        for kept in (0, 4, len(done.token_ids)):
            prompt = (*(chain.prompt or ()), *done.token_ids[:kept], 9, 8)
            answers.append(Request(prompt, 12, 0, GREEDY, affinity=chain.affinity))
    known = ask(engine, answers)
    anew = ask(engine, [replace(request, affinity="") for request in answers])
    assert [done.token_ids for done in known] == [done.token_ids for done in anew]
    for warm, cold, request in zip(known, anew, answers, strict=True):
        assert warm.logprobs == pytest.approx(cold.logprobs, abs=1e-4)
        assert cold.cached_tokens == 0 and warm.prompt_tokens == len(request.prompt or ())
        assert 0 < warm.cached_tokens < warm.prompt_tokens
    assert sum(done.prompt_tokens - done.cached_tokens for done in known) < 4 * len(known)


def test_what_a_row_leaves_behind_takes_nothing_from_those_that_join_with_it(
    engine: TransformersEngine,
) -> None:
    chain = ask(engine, [Request((5, 6, 7), 30, 0, GREEDY, ignore_eos=True, affinity="one")])[0]
    other = Request((5, 6, 7, *range(4, 44), *range(4, 44)), 1, 0, GREEDY, affinity="one")
    answer = Request((5, 6, 7, *chain.token_ids[:20], 9), 12, 0, GREEDY, affinity="one")
    alone = ask(engine, [replace(answer, affinity="")])[0]
    assert ask(engine, [other, answer])[1].token_ids == alone.token_ids


def test_a_long_chain_is_told_in_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testtime.engines.decoding.PART_SECONDS", 0.0)
    parts: list[Completion] = []
    request = Request((5, 6), 40, 1, ignore_eos=True, on_part=parts.append)
    own = TransformersEngine(folder, max_num_seqs=4)
    done = ask(own, [request])[0]
    asyncio.run(own.close())
    assert len(parts) > 30
    for part in parts:
        assert part.finish == "length" and len(part.token_ids) == len(part.logprobs) < 40
        assert part.token_ids == done.token_ids[: len(part.token_ids)]


def test_what_it_cannot_serve_is_said(engine: TransformersEngine) -> None:
    with pytest.raises(EngineError, match="context of 256"):
        ask(engine, [Request((5,), 256, 0)])
    with pytest.raises(UserError, match="no penalties"):
        ask(engine, [Request((5,), 4, 0, Sampling(repetition_penalty=1.1))])
    with pytest.raises(UserError, match="token ids"):
        ask(engine, [Request(None, 4, 0, messages=({"role": "user", "content": "?"},))])


def test_a_failure_in_the_loop_reaches_every_waiting_request(folder: Path) -> None:
    engine = TransformersEngine(folder, max_num_seqs=3)

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("out of memory")

    engine.model.forward = broken

    async def gathered() -> list[object]:
        return await asyncio.gather(
            # Prompts so unlike that no pass takes two of them.
            *(engine.complete(Request((5,) * 4**s, 4, s)) for s in range(4)),
            return_exceptions=True,
        )

    for _ in ("while it fails", "after it has failed"):
        assert all(
            isinstance(e, EngineError) and "out of memory" in str(e)
            for e in asyncio.run(gathered())
        )
    asyncio.run(engine.close())


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("mamba", {}, r"\(linear_attention\)"),
        ("lfm2", {"layer_types": ["conv", "full_attention"]}, r"\(conv\)"),
    ],
)
def test_a_state_that_is_no_cache_is_refused_where_tokens_would_come_out_wrong(
    kind: str, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "vocab_size": 50}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, **sizes, **heads, **options)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=said):
        TransformersEngine(tmp_path)


def test_a_folder_that_holds_no_model_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="transformers cannot load it"):
        TransformersEngine(tmp_path)


def shares(sampling: Sampling, probs: list[float]) -> torch.Tensor:
    """The share of each token over evenly spaced uniforms: the exact distribution to 1/10000."""
    n = 10_000
    logprobs = torch.tensor(probs).log().expand(n, -1)
    tokens = draw(logprobs, Filters.of([sampling] * n), (np.arange(n) + 0.5) / n)
    return torch.bincount(tokens, minlength=len(probs)) / n


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.1, 0.4, 0.2, 0.3]),
        (Sampling(temperature=0), [0, 1, 0, 0]),
        (Sampling(temperature=0.5), [0.01 / 0.3, 0.16 / 0.3, 0.04 / 0.3, 0.09 / 0.3]),
        (Sampling(top_k=2), [0, 4 / 7, 0, 3 / 7]),
        (Sampling(top_p=0.65), [0, 4 / 7, 0, 3 / 7]),
        (Sampling(top_p=0.7001), [0, 4 / 9, 2 / 9, 3 / 9]),
        (Sampling(min_p=0.45), [0, 4 / 9, 2 / 9, 3 / 9]),
        (Sampling(top_k=3, top_p=0.7), [0, 4 / 7, 0, 3 / 7]),
    ],
)
def test_draws_follow_the_filtered_distribution(sampling: Sampling, expected: list[float]) -> None:
    assert shares(sampling, [0.1, 0.4, 0.2, 0.3]).tolist() == pytest.approx(expected, abs=3e-4)


def test_rows_keep_their_own_sampling(engine: TransformersEngine) -> None:
    request = Request((5, 6, 7), 12, 3, GREEDY)
    alone = ask(engine, [request])[0].token_ids
    hot = [replace(request, sampling=Sampling(temperature=5.0, top_k=20), seed=s) for s in range(5)]
    assert ask(engine, [*hot, request])[-1].token_ids == alone
