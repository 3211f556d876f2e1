"""The pool's tables: their columns, and which of them make a row's key."""

from __future__ import annotations

import pyarrow as pa

_TEXT, _INT, _FLOAT = pa.string(), pa.int32(), pa.float32()
_TOKENS, _LOGPROBS = pa.list_(_INT), pa.list_(_FLOAT)

SCHEMAS: dict[str, pa.Schema] = {
    "problems": pa.schema(
        {
            "problem_id": _TEXT,
            "task": _TEXT,
            "question": _TEXT,
            "gold": _TEXT,
            "prompt": _TEXT,
            "prompt_ids": _TOKENS,
            "grader": _TEXT,
            "meta": _TEXT,
        }
    ),
    # A chain may have several rows: each continues it from token `start`, when a later run asked
    # for a larger budget.
    "chains": pa.schema(
        {
            "problem_id": _TEXT,
            "sample": _INT,
            "variant": _TEXT,
            "start": _INT,
            "token_ids": _TOKENS,
            "logprobs": _LOGPROBS,
            "tokens": _INT,
            "finish": _TEXT,
            "seed": pa.int64(),
            "prompt_tokens": _INT,
            "cached_tokens": _INT,
        }
    ),
    # The log-probability columns hold what selectors weigh by, so that analysis never opens the
    # chains' token lists.
    "answers": pa.schema(
        {
            "problem_id": _TEXT,
            "sample": _INT,
            "variant": _TEXT,
            "cut": _INT,
            "spec": _TEXT,
            "forced": pa.bool_(),
            "token_ids": _TOKENS,
            "tokens": _INT,
            "text": _TEXT,
            "finish": _TEXT,
            "logprob_mean": _FLOAT,
            "logprob_min": _FLOAT,
            "answer_logprob": _FLOAT,
            "seed": pa.int64(),
            "prompt_tokens": _INT,
            "cached_tokens": _INT,
        }
    ),
    "grades": pa.schema(
        {
            "key": _TEXT,
            "verdict": _TEXT,
            "extracted": _TEXT,
            "answer_key": _TEXT,
            "version": _TEXT,
            "detail": _TEXT,
        }
    ),
    "rewards": pa.schema(
        {
            "problem_id": _TEXT,
            "sample": _INT,
            "variant": _TEXT,
            "cut": _INT,
            "spec": _TEXT,
            "name": _TEXT,
            "reward": _FLOAT,
            "flops": pa.float64(),
        }
    ),
}
KEYS: dict[str, list[str]] = {
    "problems": ["problem_id"],
    "chains": ["problem_id", "sample", "variant", "start"],
    "answers": ["problem_id", "sample", "variant", "cut", "spec"],
    "grades": ["key"],
    "rewards": ["problem_id", "sample", "variant", "cut", "spec", "name"],
}
