"""Where the final answer stands in a text: after the thinking, in the last box, after "the answer is".

Everything here is linear in the text's length, because it runs outside the killable workers: single passes and regular
expressions without nested repetition, over the text's end only.
"""

from __future__ import annotations

import re

TAIL = 4000  # characters from the end in which an announced answer is looked for

_ANNOUNCED = re.compile(
    r"(?i:final\s+answer\s*(?:is|:|=)|answer\s*\**\s*(?:is|:|=)|answer\s+(?:is|=))\s*:?|\\?#{4}|(?m:^\s*A\s*:)"
)
_JOINED = re.compile(r"(?:[\s$,;]|\\[()\[\],;!]|\\quad|\\qquad|\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)*")


def after_thinking(text: str) -> str:
    """The text behind the thinking: empty where a `<think>` was never closed; inside `<answer>` tags if there are any."""
    _, _, rest = text.rpartition("</think>")
    if "<think>" in rest:
        return ""
    opened = rest.rfind("<answer>")
    if opened >= 0:
        return rest[opened + len("<answer>") :].partition("</answer>")[0]
    return rest


def boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of every closed `\\boxed{}` or `\\fbox{}` that stands in no other closed one, in order."""
    found: list[tuple[int, int, str]] = []
    stack: list[int] = []  # for each open brace: where its box begins, or -1
    opens: list[int] = []
    at = 0
    while at < len(text):
        mark = _BOX_OR_BRACE.search(text, at)
        if mark is None:
            break
        at = mark.end()
        token = mark.group()
        if token in ESCAPED:
            continue
        if token == "}":
            if stack:
                start, opened = stack.pop(), opens.pop()
                if start >= 0:
                    while found and found[-1][0] > start:
                        found.pop()
                    found.append((start, at, text[opened : mark.start()]))
        elif token.endswith("{"):
            stack.append(mark.start() if len(token) > 2 else -1)
            opens.append(at)
        elif "box" in token and (bare := _BARE_BOXED.match(text, at)):
            found.append((mark.start(), bare.end(), bare.group(1)))
    return found


_BOX_OR_BRACE = re.compile(r"\\(?:boxed|fbox)\s{0,3}\{|\\(?:boxed|fbox)\b|\\[{}]|\\\\(?!boxed|fbox)|[{}]")
ESCAPED = ("\\{", "\\}", "\\\\")
_BARE_BOXED = re.compile(r"\s+([^\s$\\{}]+?)(?=[.,;]?(?:[\s$]|$))")


def last_box(text: str) -> str | None:
    """The content of the last box; of boxes joined by commas, "and" or "or" alone, all of them as one list."""
    found = boxes(text)
    if not found:
        return None
    group = [found[-1]]
    for box in reversed(found[:-1]):
        between = text[box[1] : group[0][0]]
        if len(between) > 40 or not _JOINED.fullmatch(between) or not re.search(r"[,;]|and|or", between):
            break
        group.insert(0, box)
    return ", ".join(content for _, _, content in group)


def announced(text: str) -> str | None:
    """The rest of the line (or paragraph of mathematics) behind the last "answer is", "Answer:", "####" or "A:"."""
    tail = text[-TAIL:]
    matches = list(_ANNOUNCED.finditer(tail))
    if not matches:
        return None
    rest = tail[matches[-1].end() :].strip()
    line = rest.split("\n", 1)[0] if not rest.startswith(("\\[", "$$")) else rest
    return line.strip() or None
