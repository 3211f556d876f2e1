"""How a model family marks its thinking, as token ids.

Cutting and closing work on ids, so everything here is resolved once, at the start of a run: the ids
that open and close thinking, whether the chat template opens it, and the ids of the forced ending.
A model without delimiters gets none: its worked solution is the chain, and the forced ending asks
for the final answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from testtime.errors import UserError, suggest


@dataclass(frozen=True)
class Family:
    """A family's texts: what opens and closes thinking, and forced endings (the first that the
    tokenizer writes to the letter, else the last).
    """

    open: str
    close: str
    endings: tuple[str, ...]


# Sources: the chat templates published with the models named.
FAMILIES: dict[str, Family] = {
    "think": Family(
        "<think>", "</think>", ("\n</think>\n\n", "</think>")
    ),  # Qwen3, DeepSeek-R1, QwQ, GLM, ladder
    "magistral": Family("[THINK]", "[/THINK]", ("[/THINK]",)),  # Mistral's Magistral
    "seed": Family("<seed:think>", "</seed:think>", ("\n</seed:think>\n",)),  # ByteDance Seed-OSS
    "kimi": Family("◁think▷", "◁/think▷", ("◁/think▷",)),  # Kimi-VL-Thinking
    "openthinker": Family(
        "<|begin_of_thought|>", "<|end_of_thought|>", ("\n\n<|end_of_thought|>\n\n",)
    ),
    "gpt-oss": Family(
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        ("<|end|><|start|>assistant<|channel|>final<|message|>",),
    ),
}
FINAL_ANSWER = "\n\nFinal answer:"  # the forced ending where there are no delimiters


@dataclass(frozen=True)
class Format:
    """One model's thinking, in ids.

    open, close: id sequences; both empty for a model without delimiters. ending: ids appended to a
    cut chain (holds `close` where there is one). lead: what the ending says after the close: it
    belongs to the graded text (an ending `... \\boxed{` does). marker: what takes the place of a
    natural end where the chain is made to go on ("Wait").
    """

    open: tuple[int, ...]
    close: tuple[int, ...]
    ending: tuple[int, ...]
    lead: str
    marker: tuple[int, ...] = ()

    @property
    def delimited(self) -> bool:
        return bool(self.close)

    @property
    def closing(self) -> tuple[int, ...]:
        """The forced ending up to where the thinking is closed, without what asks for an answer."""
        if not self.close:
            return ()
        return self.ending[: find(self.ending, self.close) + len(self.close)]


UNSEEN = Format(
    (), (), (), ""
)  # of a server that takes messages: it gives no ids to find anything in


def find(ids: Sequence[int], part: Sequence[int], start: int = 0) -> int:
    """Index of the first occurrence of `part` in `ids` from `start` on, or -1."""
    width = len(part)
    return next(
        (i for i in range(start, len(ids) - width + 1) if tuple(ids[i : i + width]) == tuple(part)),
        -1,
    )


def encode(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Ids of a text without special tokens added. Raises UserError when the tokenizer cannot write
    it.
    """
    ids = _ids(tokenizer, text)
    if _written(tokenizer, ids).strip() != text.strip():
        raise UserError(f"the model's tokenizer cannot write {text!r}; choose another text for it")
    return ids


def _ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def _written(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def quote(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Ids of a text that others wrote: a delimiter or end-of-sequence in it is letters, and what
    the tokenizer cannot write is left out or unknown.
    """
    return tuple(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


def holding(tokenizer: Any, separator: str) -> tuple[tuple[int, ...], ...]:
    """What ends a step, as id sequences: each token whose text holds the separator, or the
    separator's own ids where no token does. Raises UserError where the tokenizer cannot write it.
    """
    texts = tokenizer.batch_decode([[i] for i in range(len(tokenizer))])
    tokens = tuple((i,) for i, text in enumerate(texts) if separator in text)
    if tokens:
        return tokens
    ids = tuple(tokenizer.encode(separator, add_special_tokens=False))
    if tokenizer.decode(list(ids)) != separator:
        raise UserError(
            f"the model's tokenizer cannot write {separator!r}; choose another thinking.separator"
        )
    return (ids,)


def detect(tokenizer: Any) -> str | None:
    """The family whose delimiters the tokenizer holds as single tokens or its chat template names,
    or None.
    """
    template = str(getattr(tokenizer, "chat_template", None) or "")
    added = tokenizer.get_added_vocab()
    for name, family in FAMILIES.items():
        if (family.open in added and family.close in added) or family.close in template:
            return name
    return None


def resolve(
    tokenizer: Any,
    *,
    family: str | None = None,
    delimiters: tuple[str, str] | None = None,
    ending: str | None = None,
) -> Format:
    """The format of a model.

    family: a name of FAMILIES, "none" for no delimiters, or None to detect; delimiters: (open,
    close) instead; ending: the forced ending instead of the family's. Raises UserError for an
    unknown family, a delimiter the tokenizer cannot write, or an ending that does not close the
    thinking.
    """
    if delimiters is not None:
        chosen: Family | None = Family(*delimiters, endings=(delimiters[1],))
    else:
        name = family or detect(tokenizer) or "none"
        if name != "none" and name not in FAMILIES:
            raise UserError(
                f"thinking.family: {name!r} is unknown{suggest(name, [*FAMILIES, 'none'])}"
            )
        chosen = FAMILIES.get(name)
    if chosen is None:
        text = FINAL_ANSWER if ending is None else ending
        return Format((), (), ids := encode(tokenizer, text), tokenizer.decode(ids))
    opening, close = encode(tokenizer, chosen.open), encode(tokenizer, chosen.close)
    endings = chosen.endings if ending is None else (ending,)
    # One written in part, without some of its white space, is nothing a model was trained behind.
    text = next(
        (one for one in endings[:-1] if _written(tokenizer, _ids(tokenizer, one)) == one),
        endings[-1],
    )
    ids = encode(tokenizer, text)
    if find(ids, close) < 0:
        raise UserError(
            f"thinking.ending: {text!r} does not contain the closing delimiter {chosen.close!r}; "
            "write it into the ending"
        )
    # Read back from the ids: a tokenizer may drop white space that the text has.
    return Format(opening, close, ids, tokenizer.decode(ids[find(ids, close) + len(close) :]))


def render(
    tokenizer: Any,
    asked: Sequence[dict[str, str]] | str,
    form: Format,
    template: dict[str, Any] | None = None,
) -> tuple[int, ...]:
    """Prompt ids, thinking opened.

    asked: chat turns, or plain text for a base model. Turns go through the chat template (with
    `template` as its switches); where there is none they are joined by blank lines. The opening
    delimiter is appended where the template does not open the thinking itself. Raises UserError
    when the template refuses the turns or closes the thinking again.
    """
    if not isinstance(asked, str) and getattr(tokenizer, "chat_template", None):
        from jinja2 import TemplateError

        try:
            ids = tokenizer.apply_chat_template(
                list(asked),
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
                **(template or {}),
            )
        except TemplateError as error:  # it may know no system message, or no such order of turns
            raise UserError(f"the model's chat template refuses a prompt: {error}") from None
    else:
        ids = tokenizer.encode(
            asked if isinstance(asked, str) else "\n\n".join(turn["content"] for turn in asked)
        )
    ids = tuple(ids)
    if not form.delimited:
        return ids
    width = len(form.open)
    opened = max(
        (i for i in range(len(ids) - width + 1) if ids[i : i + width] == form.open), default=-1
    )
    if opened < 0:
        return ids + form.open
    tail = ids[opened + width :]
    if not tokenizer.decode(tail).strip():
        return ids  # the template has opened the thinking
    if (
        find(tail, form.close) >= 0
        and not tokenizer.decode(tail[find(tail, form.close) + len(form.close) :]).strip()
    ):
        raise UserError(
            "the chat template closes the thinking in the prompt; "
            "set model.template so that thinking is on (enable_thinking: true, for example)"
        )
    return ids + form.open
