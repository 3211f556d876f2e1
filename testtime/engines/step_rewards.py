"""Rewards of stored answers by a process reward model of any family, steps joined into one number.

The pass that scores a stored pool and the searches read such a model alike (`prm.StepScorer`); here
many whole answers are read at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from testtime.engines.prm import StepScorer
from testtime.engines.readers import ReadBy, batches
from testtime.engines.reward import Over, Rewards, join
from testtime.engines.step_layouts import Read
from testtime.errors import UserError


class StepRewards:
    """A process reward model in memory, with the seam of `reward.RewardModel`. Raises UserError
    where the folder holds none.
    """

    def __init__(self, path: str | Path, engine: ReadBy = "transformers") -> None:
        self._scorer = StepScorer(path, engine=engine)

    def score(
        self, pairs: Sequence[tuple[str, str]], over: Over, separator: str = "\n\n"
    ) -> Rewards:
        """Score (question, response) pairs, whose steps are divided by `separator`. A response
        without steps scores 0; one that is too long for the model has no score.
        """
        if over == "text":
            raise UserError(
                "reward: this model scores steps; write --over last, min or product, which joins "
                "their scores"
            )
        layouts = [self._layout(*pair, separator) for pair in pairs]
        tokens = np.array([ends[-1] for _, ends in layouts], dtype=np.int64)
        value = np.where(tokens > self._scorer.longest, np.nan, 0.0)
        order = np.argsort(tokens, kind="stable")
        readable = [i for i in order if len(layouts[i][1]) > 1 and not np.isnan(value[i])]
        for batch in batches(readable, tokens, self._scorer.reader.batch_tokens):
            said = self._scorer.read([layouts[i] for i in batch])
            for i, scores in zip(batch, said, strict=True):
                value[i] = join(np.array(scores), over)
        return Rewards(value, tokens)

    def close(self) -> None:
        self._scorer.reader.close()

    def _layout(self, question: str, response: str, separator: str) -> Read:
        """Token ids, and where question and each step end; nothing is read where there is none."""
        steps = [step.strip() for step in response.split(separator) if step.strip()]
        scorer = self._scorer
        if not steps:
            return [], [0]
        return scorer.family.layout(scorer.tokenizer, question, steps, scorer.read_at)
