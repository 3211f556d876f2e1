"""One row of a data set as a question, its gold answer and the prompt a model sees.

Chat prompts are turns (few-shot examples become earlier turns); base prompts are one text that the
model continues.
"""

from __future__ import annotations

import hashlib
import json
import random
import string
from typing import Any

from testtime.errors import UserError, suggest
from testtime.tasks import patterns, template
from testtime.tasks.spec import Choices, TaskSpec

LETTERS = string.ascii_uppercase


def text(filled: str, fields: dict[str, Any], where: str) -> str:
    """The template filled from the row. Raises UserError for a field that is not there."""
    try:
        return template.fill(filled, fields)
    except KeyError as error:
        name = str(error.args[0])
        raise UserError(f"{where}: the data has no field {name!r}{suggest(name, fields)}") from None
    except ValueError as error:
        raise UserError(
            f"{where}: {filled[:60]!r} is no template ({error}); double a literal brace"
        ) from None


def value(filled: str, fields: dict[str, Any], where: str) -> Any:
    """Like `text`, but a template that is one field and nothing else keeps the field's type."""
    rendered = text(filled, fields, where)  # its errors are worded there
    return template.value(filled[1:-1], fields) if template.is_one_field(filled) else rendered


def gold(spec: TaskSpec, row: dict[str, Any], where: str) -> str:
    """The gold answer: the template's text, what `gold_pattern` captures of it, or JSON where
    `gold` is a mapping.
    """
    if isinstance(spec.gold, dict):
        golds = {
            key: value(filled, row, f"{where}: gold.{key}") for key, filled in spec.gold.items()
        }
        return json.dumps(golds, ensure_ascii=False, default=str)
    whole = text(spec.gold, row, f"{where}: gold")
    if spec.gold_pattern is None:
        return whole.strip()
    match = patterns.search(spec.gold_pattern, whole, f"{where}: gold_pattern")
    if match is None or match.group(1) is None:
        raise UserError(
            f"{where}: gold_pattern {spec.gold_pattern!r} finds nothing in {whole[-60:]!r}"
        )
    return str(match.group(1)).strip()


def options(choices: Choices, row: dict[str, Any], key: str, where: str) -> tuple[list[str], str]:
    """The options as they are shown and the right one's letter. `key` (seed and problem) decides
    the order.
    """
    if isinstance(choices.options, str):
        offered = value(f"{{{choices.options}}}", row, f"{where}: choices.options")
        if not isinstance(offered, list) or not offered or len(offered) > len(LETTERS):
            raise UserError(
                f"{where}: field {choices.options!r} of choices.options holds no list of 1 to 26 "
                f"options"
            )
        listed = [str(option) for option in offered]
    else:
        listed = [text(filled, row, f"{where}: choices.options") for filled in choices.options]
    if choices.strip:
        listed = [patterns.remove(choices.strip, option, where) for option in listed]
    listed = [option.strip() for option in listed]
    right = _right(
        choices, text(choices.correct, row, f"{where}: choices.correct").strip(), listed, where
    )
    order = list(range(len(listed)))
    if choices.shuffle:
        random.Random(hashlib.sha256(key.encode()).digest()).shuffle(order)
    return [listed[i] for i in order], LETTERS[order.index(right)]


def _right(choices: Choices, given: str, listed: list[str], where: str) -> int:
    if choices.correct_is == "text":
        if given in listed:
            return listed.index(given)
    elif choices.correct_is == "index":
        if given.isdecimal() and int(given) < len(listed):
            return int(given)
    elif len(given) == 1:
        place = LETTERS.find(given.upper()) if given.isalpha() else "123456789".find(given)
        if 0 <= place < len(listed):
            return place
    raise UserError(
        f"{where}: choices.correct gives {given!r}: no {choices.correct_is} of its {len(listed)} "
        f"options"
    )


def lettered(options: list[str]) -> str:
    """Options as lines: `A) first`."""
    return "\n".join(
        f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False)
    )


def choice_gold(options: list[str], letter: str) -> str:
    """What the choice grader reads: the right letter and the options' texts."""
    return json.dumps({"answer": letter, "choices": options}, ensure_ascii=False)


def prompt(
    spec: TaskSpec, fields: dict[str, Any], where: str
) -> tuple[list[dict[str, str]], str | None]:
    """(chat turns, None) or ([], plain text), with `shots` worked examples in front."""
    if spec.shots > len(spec.examples):
        raise UserError(
            f"{where}: shots is {spec.shots}, but the benchmark has {len(spec.examples)} examples"
        )
    asking = spec.prompt if spec.style == "chat" else spec.base_prompt
    key = "prompt" if spec.style == "chat" else "base_prompt"
    shots = [
        (
            text(asking, {**fields, "question": shot.question, "options": ""}, f"{where}: {key}"),
            shot.answer,
        )
        for shot in spec.examples[: spec.shots]
    ]
    last = text(asking, fields, f"{where}: {key}")
    if spec.style == "base":
        return [], "\n\n".join([f"{asked} {answer}" for asked, answer in shots] + [last])
    turns = [{"role": "system", "content": spec.system}] if spec.system else []
    for asked, answer in shots:
        turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return [*turns, {"role": "user", "content": last}], None
