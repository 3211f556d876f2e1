"""Process reward models of each published family, tiny and random, against the way of scoring that
was published with it, written out plainly.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testtime.engines.base import Scored
from testtime.engines.prm import StepScorer
from testtime.engines.step_layouts import QWEN_SYSTEM
from testtime.engines.step_rewards import StepRewards
from testtime.errors import UserError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

QUESTION = "what is 1+1?"
STEPS = ["one and one", "that is\ntwo", "so 2"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ["<bos>", "<|im_start|>", "<|im_end|>", "<extra_0>", "ки"]


def tokenizer(folder: Path, template: str | None = None, bos: bool = True) -> Any:
    """Bytes, and a token for each special and for a blank line."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(SPECIALS)
    if bos:
        first = [("<bos>", raw.token_to_id("<bos>"))]
        raw.post_processor = processors.TemplateProcessing("<bos> $A", special_tokens=first)
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, **({"bos_token": "<bos>"} if bos else {})
    )
    made.chat_template = template
    made.save_pretrained(folder)
    return made


def config(kind: str, size: int, **more: Any) -> Any:
    made = getattr(transformers, f"{kind}Config")(
        vocab_size=size, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=1,
        num_key_value_heads=1, max_position_embeddings=512, initializer_range=0.5, **more,
    )  # fmt: skip
    torch.manual_seed(0)
    return made


def scored(scorer: StepScorer, *pairs: tuple[str, Sequence[str]]) -> list[Scored]:
    async def work() -> list[Scored]:
        made = await asyncio.gather(*(scorer.score(*pair) for pair in pairs))
        await scorer.close()
        return list(made)

    return asyncio.run(work())


def last_hidden(model: Any, ids: Sequence[int]) -> Any:
    with torch.no_grad():
        return model(input_ids=torch.tensor([list(ids)])).last_hidden_state[0]


def trl(folder: Path) -> Callable[[str, Sequence[str]], list[float]]:
    """`PRMTrainer.tokenize_row`: the label is on the separator's last token."""
    tok = tokenizer(folder)
    model = transformers.LlamaForTokenClassification(config("Llama", len(tok), num_labels=2)).eval()
    model.save_pretrained(folder)

    def score(question: str, steps: Sequence[str]) -> list[float]:
        prompt = tok(question, add_special_tokens=False)["input_ids"]
        separator = tok.encode("\n\n", add_special_tokens=False)
        completions = [tok(s, add_special_tokens=False)["input_ids"] + separator for s in steps]
        ids, labels = [tok.bos_token_id, *prompt], [0] * (1 + len(prompt))
        for completion in completions:
            ids, labels = ids + completion, labels + [0] * (len(completion) - 1) + [1]
        with torch.no_grad():
            right = model(input_ids=torch.tensor([ids])).logits[0].softmax(-1)[:, 1]
        return [float(p) for p, label in zip(right, labels, strict=True) if label]

    return score


def qwen(folder: Path) -> Callable[[str, Sequence[str]], list[float]]:
    """The card of Qwen2.5-Math-PRM: `make_step_rewards` over the mask of <extra_0>."""
    tok = tokenizer(folder, CHATML, bos=False)
    body = transformers.Qwen2Model(config("Qwen2", len(tok)))
    head = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    whole = torch.nn.ModuleDict({"model": body, "score": head})
    _save(folder, whole, body.config, "Qwen2ForProcessRewardModel")

    def score(question: str, steps: Sequence[str]) -> list[float]:
        turns = [
            {"role": "system", "content": QWEN_SYSTEM},
            {"role": "user", "content": question},
            {"role": "assistant", "content": "<extra_0>".join(steps) + "<extra_0>"},
        ]
        text = tok.apply_chat_template(turns, tokenize=False, add_generation_prompt=False)
        ids = torch.tensor(tok.encode(text))
        logits = head(last_hidden(body.eval(), ids.tolist()))
        mask = ids == tok.encode("<extra_0>")[0]
        return logits.softmax(-1)[mask][:, 1].tolist()

    return score


def skywork(folder: Path) -> Callable[[str, Sequence[str]], list[float]]:
    """Skywork's `prepare_input`, its value head, and the sigmoid at the flagged positions."""
    tok = tokenizer(folder, bos=False)
    body = transformers.Qwen2Model(config("Qwen2", len(tok)))
    head = torch.nn.Linear(32, 1)
    whole = torch.nn.ModuleDict({"model": body, "v_head": torch.nn.ModuleDict({"summary": head})})
    _save(folder, whole, body.config, "Qwen2ForCausalLM")

    def score(question: str, steps: Sequence[str]) -> list[float]:
        ids, flags = tok.encode(question + "\n"), [0] * (len(question) + 1)
        for step in steps:
            lines = step.split("\n")
            for number, line in enumerate(lines):
                ids += tok.encode(line) + tok.encode("\n")
                flags += [0] * len(line) + [int(number == len(lines) - 1)]
        value = head(last_hidden(body.eval(), ids))[:, 0].sigmoid()
        return [float(v) for v, flag in zip(value, flags, strict=True) if flag]

    return score


def rlhflow(folder: Path) -> Callable[[str, Sequence[str]], list[float]]:
    """RLHFlow's `math_evaluation`: a request a step, the + of which stands third from the end."""
    template = "<bos>{% for m in messages %}<|im_start|>{{ m.content | trim }}{% if m.role == 'assistant' %}<|im_end|>{% else %}\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>{% endif %}"
    tok = tokenizer(folder, template)
    model = transformers.LlamaForCausalLM(config("Llama", len(tok))).eval()
    model.save_pretrained(folder)
    plus, minus = (tok.encode(sign)[-1] for sign in "+-")

    def score(question: str, steps: Sequence[str]) -> list[float]:
        talk, out = [], []
        for k, step in enumerate(steps):
            talk.append({"role": "user", "content": f"{question} {step}" if k == 0 else step})
            talk.append({"role": "assistant", "content": "+"})
            ids = tok.apply_chat_template(talk, tokenize=True, return_dict=False)
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0, -3, [plus, minus]]
            out.append(float(logits.softmax(-1)[0]))
        return out

    return score


def shepherd(folder: Path) -> Callable[[str, Sequence[str]], list[float]]:
    """Math-Shepherd's card: P(+) against P(-) at each tag."""
    tok = tokenizer(folder)
    model = transformers.MistralForCausalLM(config("Mistral", len(tok))).eval()
    model.save_pretrained(folder)
    candidates = [tok.encode(sign)[-1] for sign in "+-"]

    def score(question: str, steps: Sequence[str]) -> list[float]:
        output = "\n".join(f"{step} ки" for step in steps)
        ids = torch.tensor([tok.encode(f"{question} {output}")])
        with torch.no_grad():
            right = model(ids).logits[:, :, candidates].softmax(-1)[:, :, 0]
        return right[ids == tok.encode("ки")[-1]].tolist()

    return score


def _save(folder: Path, whole: Any, held: Any, kind: str) -> None:
    from safetensors.torch import save_file

    save_file(
        {k: v.contiguous() for k, v in whole.state_dict().items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    held.architectures = [kind]
    held.save_pretrained(folder)


FAMILIES = {f.__name__: f for f in (trl, qwen, skywork, rlhflow, shepherd)}


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_read_as_it_was_published(name: str, tmp_path: Path) -> None:
    reference = FAMILIES[name](tmp_path)
    scorer = StepScorer(tmp_path, device="cpu")
    pairs = [(QUESTION, STEPS), (QUESTION, STEPS[:1]), ("2?", ["two", "yes"])]
    for (question, steps), said in zip(pairs, scored(scorer, *pairs), strict=True):
        assert said.scores == pytest.approx(reference(question, steps), abs=1e-5)
        assert len(said.read) == len(steps) + 1 and said.read == sorted(set(said.read))
    assert len({round(s, 4) for s in reference(QUESTION, STEPS)}) == 3  # it tells steps apart


@pytest.mark.parametrize("name", FAMILIES)
def test_what_was_read_is_a_prefix_of_what_is_read_with_more_steps(
    name: str, tmp_path: Path
) -> None:
    FAMILIES[name](tmp_path)
    scorer = StepScorer(tmp_path, device="cpu")
    layouts = [
        scorer.family.layout(scorer.tokenizer, QUESTION, STEPS[:n], scorer.read_at)
        for n in (1, 2, 3)
    ]
    for (ids, ends), (more, further) in itertools.pairwise(layouts):
        assert further[: len(ends)] == ends and more[: ends[-1]] == ids[: ends[-1]]


@pytest.mark.parametrize("name", FAMILIES)
def test_stored_answers_are_rewarded_by_the_joined_scores_of_their_steps(
    name: str, tmp_path: Path
) -> None:
    reference = FAMILIES[name](tmp_path)
    judge = StepRewards(tmp_path)
    pairs = [(QUESTION, "\n\n".join(STEPS)), ("2?", "two\n\n \n\nyes"), ("none", " ")]
    expected = [reference(QUESTION, STEPS), reference("2?", ["two", "yes"])]
    for over, joined in (("last", lambda s: s[-1]), ("min", min), ("product", np.prod)):
        said = judge.score(pairs, over)
        assert said.value == pytest.approx([*map(joined, expected), 0.0], abs=1e-5)
    assert said.tokens[0] > said.tokens[1] > said.tokens[2] == 0
    assert np.isnan(judge.score([("long", "x" * 600)], "last").value[0])
    with pytest.raises(UserError, match="--over last"):
        judge.score(pairs, "text")


def test_a_step_beyond_what_the_model_can_read_scores_nothing(tmp_path: Path) -> None:
    trl(tmp_path)
    scorer = StepScorer(tmp_path, device="cpu")
    (said,) = scored(scorer, (QUESTION, ["fine", "x" * 600]))
    assert said.scores[0] > 0 and said.scores[1] == 0


def test_how_it_is_read_can_be_told(tmp_path: Path) -> None:
    reference = shepherd(tmp_path)
    told = StepScorer(tmp_path, device="cpu", read_at="<extra_0>", label_tokens=("a", "b"))
    (said,) = scored(told, (QUESTION, STEPS))
    assert not np.allclose(said.scores, reference(QUESTION, STEPS))
    tok = told.tokenizer
    ids = tok.encode(f"{QUESTION} " + "\n".join(f"{step} <extra_0>" for step in STEPS))
    whole = transformers.MistralForCausalLM.from_pretrained(tmp_path)
    logits = last_hidden(whole.model, ids) @ whole.lm_head.weight.T
    pair = logits[:, [tok.encode(c)[-1] for c in "ab"]].softmax(-1)[:, 0]
    assert said.scores == pytest.approx(
        pair[np.array(ids) == tok.encode("<extra_0>")[-1]].tolist(), abs=1e-5
    )


@pytest.mark.slow
def test_vllms_pooling_runner_reads_what_transformers_reads(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    reference = qwen(tmp_path)  # trl's is searched with in test_vllm
    scorer = StepScorer(tmp_path, engine="vllm", dtype="float32")
    pairs = [(QUESTION, STEPS), ("2?", ["two", "yes"]), (QUESTION, ["fine", "x" * 600])]
    said = scored(scorer, *pairs)
    for (question, steps), one in zip(pairs[:2], said, strict=False):
        assert one.scores == pytest.approx(reference(question, steps), abs=1e-4)
    assert said[2].scores[0] > 0 and said[2].scores[1] == 0


def test_vllm_pools_no_model_without_a_head(tmp_path: Path) -> None:
    shepherd(tmp_path)
    with pytest.raises(UserError, match="not MistralForCausalLM; let engine transformers read it"):
        StepScorer(tmp_path, engine="vllm")


def test_what_is_no_such_model_is_refused(tmp_path: Path) -> None:
    tok = tokenizer(tmp_path)
    model = transformers.LlamaForSequenceClassification(
        config("Llama", len(tok), num_labels=1, pad_token_id=0)
    )
    model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="LlamaForSequenceClassification scores no steps"):
        StepScorer(tmp_path)
    with pytest.raises(UserError, match="family: 'qwem' is unknown"):
        StepScorer(tmp_path, family="qwem")
