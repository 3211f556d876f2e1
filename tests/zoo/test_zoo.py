"""The shipped models: names, sizes, cards, what they load as, and that they still solve
problems.
"""

from __future__ import annotations

import json
import re

import pytest

from testtime import tasks, zoo
from testtime.errors import UserError

NAMES = zoo.names()
RUNGS = [name for name in NAMES if name.startswith("ladder/")]


def size(name: str) -> int:
    """Bytes of the weights."""
    return (zoo.path(name) / "model.safetensors").stat().st_size


def test_names() -> None:
    assert "quickstart" in NAMES
    assert [f"ladder/{i}" for i in range(len(RUNGS))] == RUNGS


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("quickstrat", "did you mean 'quickstart'"),
        ("", "known: "),
        ("../zoo/quickstart", "known|mean"),
    ],
)
def test_unknown_name(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint) as caught:
        zoo.path(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_card_says_how_it_was_made(name: str) -> None:
    card = (zoo.path(name) / "README.md").read_text()
    for word in (
        "tokens",
        "held-out loss",
        "time",
        "python -m benchmarks.ladder.train",
        "Apache-2.0",
    ):
        assert word in card
    assert re.search(r"\d\.\d{4} \+- \d\.\d{4} nats", card)


def test_sizes() -> None:
    assert size("quickstart") < 4e6
    assert sum(map(size, RUNGS)) < 12e6


@pytest.mark.parametrize("name", NAMES)
def test_heads_are_wide_enough_for_vllm(name: str) -> None:
    config = json.loads((zoo.path(name) / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["head_dim"] in (32, 64)


@pytest.mark.parametrize("name", NAMES)
def test_tokenizer(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(zoo.path(name))
    turns = [{"role": "user", "content": "12 + 5 - 30"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["<bos>", *"12+5-30", "<think>"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "12+5-30"
    assert len(tokenizer("</think>", add_special_tokens=False)["input_ids"]) == 1
    assert len(tokenizer("Wait", add_special_tokens=False)["input_ids"]) == 1


def answers(name: str, prompts: list[str]) -> list[str]:
    """Greedy answers, each after the model's own full thinking."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.set_num_threads(1)  # two are many times slower than one on models this small
    tokenizer = transformers.AutoTokenizer.from_pretrained(zoo.path(name), padding_side="left")
    model = transformers.AutoModelForCausalLM.from_pretrained(zoo.path(name))
    turns = [[{"role": "user", "content": prompt}] for prompt in prompts]
    inputs = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    with torch.no_grad():
        made = model.generate(**inputs, max_new_tokens=240, do_sample=False)
    texts = tokenizer.batch_decode(made, skip_special_tokens=False)
    return [text.partition("</think>")[2].partition("<eos>")[0] for text in texts]


def right(name: str, task: str) -> float:
    """Accuracy on a handful of the task's own problems."""
    pytest.importorskip("reasoning_gym")
    problems = tasks.load(task, limit=12).problems
    made = answers(name, [problem.question for problem in problems])
    return sum(a == problem.gold for a, problem in zip(made, problems, strict=True)) / len(problems)


def test_quickstart_adds() -> None:
    assert right("quickstart", "chain_sum") >= 0.75


@pytest.mark.skipif(len(RUNGS) < 6, reason="the largest rung is not trained yet")
@pytest.mark.parametrize("task", ["chain_sum", "gcd", "products"])
def test_largest_rung_does_all_three_tasks(task: str) -> None:
    assert right(RUNGS[-1], task) >= 0.75


def test_training_says_what_the_laws_need() -> None:
    rows = [zoo.training(name) for name in RUNGS]
    sizes = [row["parameters"] for row in rows]
    assert sizes == sorted(sizes)
    assert all(row["tokens"] > 0 and 0 < row["loss_se"] < row["loss"] for row in rows)
