"""Where the final answer stands in a text: after the thinking, in the last box, after "the answer
is".

Everything here is linear in the text's length, because it runs outside the killable workers: single
passes and regular expressions without nested repetition, over the text's end only.
"""

from __future__ import annotations

import re

TAIL = 4000  # characters from the end in which an answer without a box is looked for
SNIPPET = 300  # characters of a text that may be an answer as a whole

_ANNOUNCED = re.compile(
    r"(?i:answer|r[ée]ponse|antwort|respuesta|risposta|resposta|ответ)\s*\**\s*(?:is|est|ist|es|è|é|:|=)\s*:?"
    r"|(?:答案|الجواب|उत्तर)\s*(?:是|为|هو|है)?\s*[:：]?|\\?#{4}|(?m:^\s*A\s*:)"
)
_TRAILER = re.compile(
    r"(?i)\.?\s*(?:I hope it is "
    r"correct|<\|)|(?<=[\w)}$%])\.\s+(?=[A-Z])|\s+\(because|,?\s+(?:because|since|which)\b"
)
_FORMULA = re.compile(
    r"\$\$(?:[^$]|\\\$){1,2000}?\$\$|(?<![\\$\d])\$(?![\s$])(?:[^$\n]|\\\$){0,2000}?[^\s$\\]\$(?!\d)"
    r"|\\\[.{1,2000}?\\\]|\\\(.{1,2000}?\\\)",
    re.DOTALL,
)
_NUMBERS = re.compile(
    r"(?<![\w.,])[+-]?\s?[$€£¥]?(?:(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
    r"(?:[eE][+-]?\d{1,4})?(?:\s?/\s?\d+)?"
    r"|(?<=[^\x00-\x7f])\d+(?:[.,/]\d+)?"
)
_JOINED = re.compile(
    r"(?:[\s$,;]|\\[()\[\],;!]|\\quad|\\qquad|\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)*"
)


def after_thinking(text: str) -> str:
    """The text behind the thinking, inside `<answer>` tags if there are any; empty where a
    `<think>` never closed.
    """
    _, _, rest = text.rpartition("</think>")
    if "<think>" in rest:
        return ""
    opened = rest.rfind("<answer>")
    if opened >= 0:
        return rest[opened + len("<answer>") :].partition("</answer>")[0]
    return rest


def boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of every closed `\\boxed{}` or `\\fbox{}` that stands in no other
    closed one, in order.
    """
    whole: list[tuple[int, int, int, int]] = []  # a box's start and end, its content's
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
                    while whole and whole[-1][0] > start:
                        whole.pop()
                    whole.append((start, at, opened, mark.start()))
        elif token.endswith("{"):
            stack.append(mark.start() if len(token) > 2 else -1)
            opens.append(at)
        elif "box" in token and (bare := _BARE_BOXED.match(text, at)):
            whole.append((mark.start(), bare.end(), *bare.span(1)))
    return [(start, end, text[opened:closed]) for start, end, opened, closed in whole]


_BOX_OR_BRACE = re.compile(
    r"\\(?:boxed|fbox)\s{0,3}\{|\\(?:boxed|fbox)\b|\\[{}]|\\\\(?!boxed|fbox)|[{}]"
)
_CJK = re.compile("[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af]")
ESCAPED = ("\\{", "\\}", "\\\\")
_BARE_BOXED = re.compile(r"\s++([^\s$\\{}]{1,100}?)(?=[.,;]?(?:[\s$]|$))")


def last_box(text: str) -> str | None:
    """The content of the last box; of boxes joined by commas, "and" or "or" alone, all of them as
    one list.
    """
    all_boxes = boxes(text)
    if not all_boxes:
        return None
    group = [all_boxes[-1]]
    for box in reversed(all_boxes[:-1]):
        between = text[box[1] : group[0][0]]
        if (
            len(between) > 40
            or not _JOINED.fullmatch(between)
            or not re.search(r"[,;]|and|or", between)
        ):
            break
        group.insert(0, box)
    return ", ".join(content for _, _, content in group)


def announced(text: str) -> str | None:
    """The rest of the line (or the display) behind the last "answer is", "Answer:", "####" or
    "A:".
    """
    tail = text[-TAIL:]
    matches = list(_ANNOUNCED.finditer(tail))
    if not matches:
        return None
    rest = tail[matches[-1].end() :].strip()
    if rest.startswith(("\\[", "$$")):
        return rest
    return rest.partition("\n")[0].strip() or None


def final_answer(text: str) -> str | None:
    """The final answer of a solution: the last box, else what is announced, else a text that is an
    answer as a whole, else the last mathematics or number. None where the text has nothing of the
    kind.
    """
    boxed = last_box(text)
    if boxed is not None:
        return boxed.strip()
    said = announced(text)
    if said is not None and (found := _of_snippet(said)):
        return found
    if len(text) <= SNIPPET and _is_mathematics(text):
        return text.strip() or None
    return _last_mathematics(text[-TAIL:])


def _of_snippet(snippet: str) -> str | None:
    snippet = _TRAILER.split(snippet.strip(" *_\"':"), maxsplit=1)[0].strip(" *_\"'")
    formulas = list(_FORMULA.finditer(snippet))
    if formulas:
        last = formulas[0]
        for following in formulas[1:]:
            if not _JOINED.fullmatch(snippet[last.end() : following.start()]):
                break
            last = following
        return snippet[formulas[0].start() : last.end()]
    if len(snippet) <= SNIPPET and _is_mathematics(snippet):
        return snippet
    sides = snippet.rpartition("=")
    numbers = _NUMBERS.findall(sides[2] if sides[1] else snippet)
    if numbers:
        return str(numbers[0]).strip()
    return snippet if snippet and len(snippet) <= SNIPPET else None


def _is_mathematics(text: str) -> bool:
    """Whether a short text reads as one expression and not as a sentence."""
    words = re.findall(r"[^\W\d_]{2,}", re.sub(r"\\[A-Za-z]+(?:\{[^{}]*\})?", " ", text))
    return (
        bool(text.strip())
        and len(words) <= 2
        and not _CJK.search(text)
        and "\n" not in text.strip()
    )


def _last_mathematics(text: str) -> str | None:
    formulas, numbers = list(_FORMULA.finditer(text)), list(_NUMBERS.finditer(text))
    if formulas and (not numbers or numbers[-1].start() < formulas[-1].end()):
        return formulas[-1].group()
    return numbers[-1].group().strip() if numbers else None
