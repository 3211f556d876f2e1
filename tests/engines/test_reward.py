"""Rewards of a tiny random model, against the same model asked one text, and one step, at a
time.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testtime.engines.reward import RewardModel
from testtime.errors import UserError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PAIRS = [
    ("1+1?", "two\n\n is it"),
    ("2+3?", "five"),
    ("long", "a b c\n\nd e f  \n\n\n\ng h"),
    ("none", ""),
]


def build(
    folder: Path, kind: str = "SequenceClassification", labels: int = 1, template: str | None = None
) -> Path:
    """A two-layer Llama with a random head and a tokenizer of bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    torch.manual_seed(0)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    raw.pre_tokenizer, raw.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=raw)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(alphabet), hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, num_labels=labels, initializer_range=0.5, pad_token_id=0,
    )  # fmt: skip
    getattr(transformers, f"LlamaFor{kind}")(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    return RewardModel(build(tmp_path_factory.mktemp("reward")), device="cpu")


@cache
def whole(folder: str) -> Any:
    kind = transformers.AutoConfig.from_pretrained(folder).architectures[0]
    return getattr(transformers, kind).from_pretrained(folder).eval()


def logits(model: RewardModel, text: str) -> Any:
    """What transformers itself says at each token of a text."""
    ids = torch.tensor([model.tokenizer(text)["input_ids"]])
    with torch.inference_mode():
        return whole(model.tokenizer.name_or_path)(input_ids=ids).logits[0].double()


def logit(model: RewardModel, text: str) -> float:
    return float(logits(model, text)[0])


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def test_a_text_scores_what_the_model_says_of_it_alone(model: RewardModel) -> None:
    found = model.score(PAIRS)
    for (question, response), value, tokens in zip(PAIRS, found.value, found.tokens, strict=True):
        text = f"{question}\n{response}"
        assert value == pytest.approx(sigmoid(logit(model, text)), abs=1e-6)
        assert tokens == len(text)


def test_steps_are_scored_where_they_end(model: RewardModel) -> None:
    steps = ["long\na b c", "long\na b c\n\nd e f", "long\na b c\n\nd e f  \n\n\n\ng h"]
    each = [sigmoid(logit(model, s)) for s in steps]
    for over, expected in (("product", np.prod(each)), ("min", min(each)), ("last", each[-1])):
        assert model.score(PAIRS, over).value[2] == pytest.approx(expected, abs=1e-6)  # type: ignore[arg-type]
    assert model.score(PAIRS, "min").value[3] == 0  # no steps at all


def test_batching_changes_nothing(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    together = model.score(PAIRS, "product").value
    monkeypatch.setattr(model.reader, "batch_tokens", 1)
    assert model.score(PAIRS, "product").value == pytest.approx(together, abs=1e-6)


def test_texts_beyond_the_models_length_are_null(model: RewardModel) -> None:
    found = model.score([("q", "x" * 100), ("q", "x")])
    assert np.isnan(found.value[0]) and found.tokens[0] == 102 and np.isfinite(found.value[1])
    assert len(model.score([]).value) == 0


def test_two_labels_and_a_template_that_edits_what_it_reads(tmp_path: Path) -> None:
    template = "{% for m in messages %}[{{ m.content.split('</think>')[-1] | trim }}]{% endfor %}"
    model = RewardModel(build(tmp_path, "TokenClassification", 2, template), device="cpu")
    response = "thought</think>answer"
    expected = logits(model, f"[q][{response}]")[-1].softmax(-1)[1]
    assert model.score([("q", response)]).value[0] == pytest.approx(float(expected), abs=1e-6)


def test_the_steps_of_a_token_classifier_are_read_as_trl_trains_it(tmp_path: Path) -> None:
    template = "{% for m in messages %}[{{ m.content }}]{% endfor %}"
    model = RewardModel(build(tmp_path, "TokenClassification", 2, template), device="cpu")
    right = logits(model, "long" + "a b c\n\n" + "d e f\n\n").softmax(-1)[:, 1]
    each = [float(right[len("longa b c\n\n") - 1]), float(right[-1])]
    said = model.score([("long", "a b c\n\nd e f")], "product")
    assert said.value[0] == pytest.approx(each[0] * each[1], abs=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "labels"), [("SequenceClassification", 1), ("TokenClassification", 2)]
)
def test_vllm_says_what_transformers_says(tmp_path: Path, kind: str, labels: int) -> None:
    pytest.importorskip("vllm")
    folder = build(tmp_path, kind, labels)
    plain, pooled = (
        RewardModel(folder, device="cpu"),
        RewardModel(folder, engine="vllm", dtype="float32"),
    )
    try:
        for over in ("text", "product"):
            expected = plain.score(PAIRS, over).value  # type: ignore[arg-type]
            assert pooled.score(PAIRS, over).value == pytest.approx(expected, abs=1e-4)  # type: ignore[arg-type]
    finally:
        pooled.close()


def test_what_is_no_reward_model_is_refused(tmp_path: Path, model: RewardModel) -> None:
    with pytest.raises(UserError, match=r"no config\.json"):
        RewardModel(tmp_path / "absent")
    with pytest.raises(UserError, match="LlamaForCausalLM, which has no classification head"):
        RewardModel(build(tmp_path, "CausalLM"))
    wrong: Any = "sglang"
    with pytest.raises(UserError, match="engine is 'sglang'; choose transformers or vllm"):
        RewardModel(tmp_path, engine=wrong)
    wrong = "mean"
    with pytest.raises(UserError, match="over is 'mean'"):
        model.score(PAIRS, wrong)
