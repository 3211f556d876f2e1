"""Texts compared as people read them: without case, articles, punctuation and extra spaces."""

from __future__ import annotations

import re
import unicodedata
from typing import ClassVar

from testtime.grading.base import Grade, Grader, Work
from testtime.grading.extract import after_thinking, announced, last_box


class Text(Grader):
    """Correct where the final answer, or the whole answer text, says the same words as the gold."""

    version: ClassVar[str] = "text-2"

    def prepare(self, gold: str, answer: str) -> Grade | Work:
        whole = after_thinking(answer).strip()
        if not whole:
            return self.grade("unparsed", None, None, "no answer in the text")
        final = last_box(whole) or announced(whole) or whole
        wanted, key = normalised(gold), normalised(final)
        if not wanted:
            return self.grade("error", final[:2000], None, "the gold is blank")
        return self.grade(wanted in (key, normalised(whole)), final[:2000], key[:2000])


def normalised(text: str) -> str:
    """Small letters and digits with single spaces, articles left out; a text that has nothing else
    (`The`, `?`, `...`) stays as it is, so that only a blank text becomes the empty one.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"\\(?:text|mathrm|textbf)\s*+\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<=\d)[.,](?=\d)", "\x00", text)  # 3.5 is not 35, and -5 is not 5
    text = re.sub(r"(?<![\w)\x00])[-−](?=[\d\x00])", "\x01", text)
    words = re.sub(r"[^\w\x00\x01]+", " ", text).replace("\x00", ".").replace("\x01", "-").split()
    kept = [word for word in words if word not in {"a", "an", "the"}]
    return " ".join(kept or words or text.split())
