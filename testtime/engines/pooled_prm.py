"""Process reward models with a head on vLLM's pooling runner, while a search runs.

The layouts are those of `prm`, so both read the same tokens at the same places. Families that say
right and wrong by tokens have no head to pool, and are read by transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testtime.engines.prm import StepScorer
from testtime.engines.reward import pooled, pooling
from testtime.engines.step_layouts import Read
from testtime.errors import UserError

POOLED = ("ForTokenClassification", "ForProcessRewardModel")


class PooledStepScorer(StepScorer):
    """A `StepScorer` that vLLM reads for. Raises UserError for a model without such a head, and
    where vLLM is not installed.
    """

    def _load(
        self, path: str | Path, heads: dict[str, Any], dtype: str, device: str | None
    ) -> None:
        if self.labels or not self.kind.endswith(POOLED):
            raise UserError(
                f"verifier {path}: vLLM pools {' and '.join(POOLED)}, not {self.kind}; write "
                "thinking.prm.engine: transformers"
            )
        self._runner = pooling(path, dtype, **self.args)

    def read(self, texts: Sequence[Read]) -> list[list[float]]:
        right = pooled(self._runner, [ids[: self.longest] for ids, _ in texts])
        return [
            [float(said[end - 1]) if end <= len(said) else 0.0 for end in ends[1:]]
            for (_, ends), said in zip(texts, right, strict=True)
        ]

    async def close(self) -> None:
        await super().close()
        self._runner.llm_engine.engine_core.shutdown()
