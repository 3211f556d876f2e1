"""How published process reward models read question and steps: as tokens, and where.

A family says how they become tokens, after which of these the model is read, and what is read
there: a head, or the tokens that say right and wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from testtime.errors import UserError

Read = tuple[list[int], list[int]]  # token ids; of the question and each step, where it ends
QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


@dataclass(frozen=True)
class Family:
    """layout: question and steps to tokens; read_at: the text after each step at which the model is
    read; labels: the tokens that say right and wrong (none: the model has a head).
    """

    layout: Callable[[Any, str, Sequence[str], str], Read]
    read_at: str
    labels: tuple[str, str] | None = None


def _plain(tokenizer: Any, question: str, steps: Sequence[str], separator: str) -> Read:
    """TRL's PRMTrainer: plain text without chat template, tokenized step by step."""
    end = tokenizer.encode(separator, add_special_tokens=False)
    bos = tokenizer.bos_token_id
    ids = [] if bos is None else [bos]
    ids += tokenizer.encode(question, add_special_tokens=False)
    ends = [len(ids)]
    for step in steps:
        ids += tokenizer.encode(step, add_special_tokens=False) + end
        ends.append(len(ids))
    return ids, ends


def _lines(tokenizer: Any, question: str, steps: Sequence[str], separator: str) -> Read:
    """Skywork-o1-Open-PRM: the question and each line of a step end in the separator's token."""
    end = tokenizer.encode(separator, add_special_tokens=False)[-1]
    ids = tokenizer.encode((tokenizer.bos_token or "") + question + "\n", add_special_tokens=False)
    ends = [len(ids)]
    for step in steps:
        for line in filter(None, step.split(separator)):
            ids += [*tokenizer.encode(line, add_special_tokens=False), end]
        ends.append(len(ids))
    return ids, ends


def _chat(tokenizer: Any, question: str, steps: Sequence[str], tag: str) -> Read:
    """Qwen2.5-Math-PRM: one exchange, a tag behind each step of the answer."""
    turns = [
        {"role": "system", "content": QWEN_SYSTEM},
        {"role": "user", "content": question},
        {"role": "assistant", "content": "".join(step + tag for step in steps)},
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False)
    return _tagged(tokenizer, text, len(steps), tag, special=False)


def _text(tokenizer: Any, question: str, steps: Sequence[str], tag: str) -> Read:
    """Math-Shepherd: the question, then lines that end in a tag."""
    text = f"{question} " + "\n".join(f"{step} {tag}" for step in steps)
    return _tagged(tokenizer, text, len(steps), tag, special=True)


def _tagged(tokenizer: Any, text: str, steps: int, tag: str, special: bool) -> Read:
    mark = tokenizer.encode(tag, add_special_tokens=False)[-1]
    ids = tokenizer.encode(text, add_special_tokens=special)
    # A question may hold the tag too: the steps' own are the last ones.
    ends = [i + 1 for i, token in enumerate(ids) if token == mark][-steps:]
    if len(ends) < steps:
        raise UserError(f"the verifier's tokenizer has no token of its own for {tag!r}")
    first = text.index(tag) if steps else len(text)
    asked = len(tokenizer.encode(text[:first], add_special_tokens=special))
    return ids[: ends[-1]], [min(asked, ends[0] - 1), *ends]


def _turns(tokenizer: Any, question: str, steps: Sequence[str], label: str) -> Read:
    """RLHFlow: each step is a user's turn, the first behind the question; the model is read where
    it is about to say whether that is right, and every turn before says it was.
    """
    ends, turns = list[int](), list[dict[str, str]]()
    for number, step in enumerate(steps):
        turns.append({"role": "user", "content": step if number else f"{question} {step}"})
        ids = _rendered(tokenizer, turns)
        ends.append(len(ids))
        turns.append({"role": "assistant", "content": label})
    asked = len(_rendered(tokenizer, [{"role": "user", "content": question}]))
    return ids, [min(asked, ends[0] - 1), *ends]


def _rendered(tokenizer: Any, turns: Sequence[dict[str, str]]) -> list[int]:
    options = {"add_generation_prompt": True, "tokenize": True, "return_dict": False}
    return list(tokenizer.apply_chat_template(list(turns), **options))


# Sources: the cards and code published with each model.
FAMILIES: dict[str, Family] = {
    "trl": Family(_plain, "\n\n"),
    "qwen": Family(_chat, "<extra_0>"),
    "skywork": Family(_lines, "\n"),
    "rlhflow": Family(_turns, "+", ("+", "-")),
    "shepherd": Family(_text, "ки", ("+", "-")),
}


def family_of(kind: str, chat: bool, value_head: bool) -> str:
    """The family of a checkpoint. kind: its architecture; chat: whether it has a chat template;
    value_head: whether its weights hold one. Raises UserError for what is no such model.
    """
    if value_head:
        return "skywork"
    if kind.endswith("ForProcessRewardModel"):
        return "qwen"
    if kind.endswith("ForTokenClassification"):
        return "trl"
    if kind.endswith("ForCausalLM"):
        return "rlhflow" if chat else "shepherd"
    raise UserError(
        f"thinking.prm: an architecture {kind} scores no steps; give a ...ForTokenClassification, "
        "...ForProcessRewardModel or causal model"
    )
