"""The shipped models: names, sizes, cards, what they load as, and that they still do what their
cards say.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from testtime import tasks, zoo
from testtime.errors import UserError
from testtime.zoo import facts

NAMES = zoo.names()
RUNGS = [name for name in NAMES if name.startswith("ladder/")]
WORLD = [name for name in NAMES if name != "quickstart"]


def test_names() -> None:
    assert {"quickstart", "agent", "prm"} <= set(NAMES)
    assert [f"ladder/{i}" for i in range(len(RUNGS))] == RUNGS and len(RUNGS) >= 7


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
    for word in ("tokens", "python -m benchmarks.laboratory", "Apache-2.0"):
        assert word in card
    if name not in ("agent", "prm"):
        assert (
            re.search(r"held-out loss \| \d\.\d{4} \+- \d\.\d{4} nats", card) and "time |" in card
        )
    else:
        assert len(re.findall(r"\.\d{3} \[\.\d{3}, (?:\.\d{3}|1\.000)\]", card)) >= 4


def test_sizes() -> None:
    assert all((zoo.path(name) / "model.safetensors").stat().st_size < 4e6 for name in NAMES)
    assert sum(file.stat().st_size for file in zoo.ROOT.rglob("*") if file.is_file()) < 11e6


@pytest.mark.parametrize("name", NAMES)
def test_heads_are_wide_enough_for_vllm(name: str) -> None:
    config = json.loads((zoo.path(name) / "config.json").read_text())
    assert config["architectures"] == [
        "LlamaForTokenClassification" if name == "prm" else "LlamaForCausalLM"
    ]
    assert config["head_dim"] in (32, 64) and config["dtype"] == "float32"


def tokenizer(name: str) -> Any:
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(
        zoo.path(name), padding_side="left"
    )


def test_quickstart_tokenizer() -> None:
    found = tokenizer("quickstart")
    turns = [{"role": "user", "content": "12 + 5 - 30"}]
    text = found.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids = found(text, add_special_tokens=False)["input_ids"]
    assert found.convert_ids_to_tokens(ids) == ["<bos>", *"12+5-30", "<think>"]
    assert found.decode(ids, skip_special_tokens=True) == "12+5-30"
    assert all(
        len(found(one, add_special_tokens=False)["input_ids"]) == 1 for one in ("</think>", "Wait")
    )


@pytest.mark.parametrize("name", WORLD)
def test_the_worlds_models_have_one_tokenizer(name: str) -> None:
    found = tokenizer(name)
    turns = [{"role": "system", "content": "lookup"}, {"role": "user", "content": "a 123 045 ?"}]
    text = found.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids = found(text, add_special_tokens=False)["input_ids"]
    said = [
        "<bos>",
        "<system>",
        "lookup",
        "<user>",
        "a",
        "123",
        "045",
        "?",
        "<assistant>",
        "<think>",
    ]
    assert found.convert_ids_to_tokens(ids) == said
    assert found.get_vocab() == tokenizer("ladder/0").get_vocab()
    steps = "a123q\n\nq045z\n\n"
    assert found.decode(found(steps, add_special_tokens=False)["input_ids"]) == steps
    for word in (
        "\n\n",
        "</think>",
        "Wait",
        "yes",
        "no",
        "<tool_call>",
        "</tool_call>",
        "<tool_response>",
        "999",
    ):
        assert len(found(word, add_special_tokens=False)["input_ids"]) == 1


@cache
def model(name: str) -> Any:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # two are many times slower than one on models this small
    found = (
        pytest.importorskip("transformers")
        .AutoModelForCausalLM.from_pretrained(zoo.path(name))
        .eval()
    )
    assert next(found.parameters()).dtype == torch.float32
    return found


Turns = list[dict[str, str]]


def written(
    name: str, conversations: list[Turns], stop: str = "<eos>", more: str = ""
) -> list[str]:
    """What the model writes greedily after each conversation's generation prompt and `more`, up to
    `stop`.
    """
    import torch

    found = tokenizer(name)
    texts = [
        found.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) + more
        for turns in conversations
    ]
    inputs = found(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    ends = [found.eos_token_id, found.convert_tokens_to_ids(stop)]
    with torch.no_grad():
        made = model(name).generate(
            **inputs, max_new_tokens=240, do_sample=False, eos_token_id=ends
        )
    new = found.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=False)
    return [text.replace("<pad>", "").removesuffix("<eos>") for text in new]


def asked(question: str, *more: str) -> Turns:
    """A conversation: the question, then the assistant's and the user's turns."""
    roles = ("user", "assistant", "user")
    return [
        {"role": role, "content": text}
        for role, text in zip(roles, (question, *more), strict=False)
    ]


def right(name: str, task: str, where: Callable[[Any], bool] = lambda problem: True) -> float:
    """Accuracy on a handful of the task's own problems, greedy, after the model's own full
    thinking.
    """
    problems = [problem for problem in tasks.load(task).problems if where(problem)][:40]
    made = written(name, [asked(problem.question) for problem in problems])
    answers = [text.partition("</think>")[2] for text in made]
    return sum(a == p.gold for a, p in zip(answers, problems, strict=True)) / len(problems)


def test_quickstart_adds() -> None:
    pytest.importorskip("reasoning_gym")
    assert right("quickstart", "chain_sum") >= 0.75


def test_the_ladder_knows_more_the_larger_it_is() -> None:
    two = [
        right(name, "facts", lambda problem: problem.meta["level"] == 2)
        for name in (RUNGS[0], RUNGS[2], RUNGS[-1])
    ]
    assert two[0] < two[1] < two[2] and two[2] >= 0.4


def test_training_says_what_the_laws_need() -> None:
    rows = [zoo.training(name) for name in RUNGS]
    sizes = [row["parameters"] for row in rows]
    assert sizes == sorted(sizes) and sizes[0] < 10_000 and sizes[-1] > 1_000_000
    assert all(row["tokens"] > 0 and 0 < row["loss_se"] < row["loss"] for row in rows)


def test_the_table_of_runs_has_every_rung_and_the_seeds() -> None:
    with (zoo.ROOT / "ladder" / "ladder.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    runs: dict[str, set[str]] = {}
    for row in rows:
        runs.setdefault(row["rung"], set()).add(row["run"])
        assert float(row["loss"]) > 0 and float(row["c_6nd"]) == 6.0 * float(
            row["parameters"]
        ) * float(row["tokens"])
    assert len(runs) == len(RUNGS) and sum(len(one) == 3 for one in runs.values()) >= 2
    assert all(sum(row["run"] == run for row in rows) >= 3 for run in set.union(*runs.values()))


@cache
def attempts() -> list[tuple[str, str, bool]]:
    """The agent's greedy attempts at questions of two to four hops: (question, attempt, right)."""
    problems = [p for p in tasks.load("facts").problems if p.meta["level"] in (2, 3, 4)][::4]
    made = written("agent", [asked(problem.question) for problem in problems])
    return [
        (p.question, text, text.partition("</think>")[2] == p.gold)
        for p, text in zip(problems, made, strict=True)
    ]


def ranked(scores: list[float]) -> float:
    """The area under the receiver's curve of scores for the attempts being right."""
    good = [s for s, (_, _, right) in zip(scores, attempts(), strict=True) if right]
    bad = [s for s, (_, _, right) in zip(scores, attempts(), strict=True) if not right]
    assert min(len(good), len(bad)) >= 10
    return sum((g > b) + (g == b) / 2 for g in good for b in bad) / (len(good) * len(bad))


def test_agent_verifies_its_own_attempts() -> None:
    import torch

    found, scores = tokenizer("agent"), []
    yes, no = found.convert_tokens_to_ids(["yes", "no"])
    for question, attempt, _ in attempts():
        turns = asked(question, f"<think>{attempt}", "verify")
        text = found.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids = found(f"{text}</think>", add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            chances = model("agent")(input_ids=ids).logits[0, -1].softmax(-1)
        assert chances[yes] + chances[no] > 0.9
        scores.append(float(chances[yes] / (chances[yes] + chances[no])))
    assert ranked(scores) >= 0.7


def test_agent_revises_in_the_form_of_an_attempt() -> None:
    shown = [asked(q, f"<think>{attempt}", "revise") for q, attempt, _ in attempts()[:20]]
    revised = written("agent", shown)
    form = r"(?:[a-z]\d{3}[a-z]\n\n)+</think>[a-z]"
    assert sum(re.fullmatch(form, text) is not None for text in revised) >= 18


def test_agent_asks_the_tool_and_uses_what_it_is_told() -> None:
    problems = [
        p for p in tasks.load("facts").problems if p.meta["level"] == 1 and p.meta["rarest"] >= 100
    ][:20]
    turns = [
        [{"role": "system", "content": "lookup"}, *asked(problem.question)] for problem in problems
    ]
    calls = written("agent", turns, stop="</tool_call>")
    good = 0
    for conversation, problem, call in zip(turns, problems, calls, strict=True):
        made = re.fullmatch(r"<tool_call>(.*)</tool_call>", call)
        if made is None:
            continue
        assert facts.lookup(made[1]) in (problem.gold, "?")
        (rest,) = written(
            "agent",
            [conversation],
            more=f"{call}<tool_response>{facts.lookup(made[1])}</tool_response>",
        )
        good += rest.partition("</think>")[2] == problem.gold
    assert good >= 0.8 * len(problems)


def test_agent_splits_and_joins() -> None:
    problems = [p for p in tasks.load("facts_compound").problems if p.meta["level"] == 8][:20]
    plans = written("agent", [asked(f"split {problem.question}") for problem in problems])
    good = 0
    for problem, plan in zip(problems, plans, strict=True):
        letter, *names = problem.question.split()[:-1]
        parts = [
            f"{letter}{''.join(names[:3])}?",
            f"#1{''.join(names[3:6])}?",
            f"#2{''.join(names[6:])}?",
        ]
        good += plan == "</think>" + "".join(part + "\n\n" for part in parts)
    assert good >= 0.8 * len(problems)
    joined = written(
        "agent", [asked(f"join {problem.question} :a :b :{problem.gold}") for problem in problems]
    )
    assert sum(
        said == f"</think>{p.gold}" for said, p in zip(joined, problems, strict=True)
    ) >= 0.8 * len(problems)


def test_step_model_ranks_steps() -> None:
    torch = pytest.importorskip("torch")
    classifier = pytest.importorskip("transformers").AutoModelForTokenClassification
    prm, found = classifier.from_pretrained(zoo.path("prm")).eval(), tokenizer("prm")
    assert prm.config.id2label == {0: "bad", 1: "good"}
    end = found.convert_tokens_to_ids("\n\n")

    def scores(question: str, attempt: str) -> list[float]:
        text = f"<bos>{question}{attempt.partition('</think>')[0]}"
        ids = found(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            good = prm(input_ids=ids).logits.softmax(-1)[0, :, 1]
        return [float(value) for value in good[ids[0] == end]]

    found_scores = [scores(question, attempt) for question, attempt, _ in attempts()]
    assert all(
        len(one) == a.count("\n\n") for one, (_, a, _) in zip(found_scores, attempts(), strict=True)
    )
    assert ranked([one[-1] for one in found_scores]) >= 0.8
