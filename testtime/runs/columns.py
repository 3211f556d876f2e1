"""The columns of the scores table, written once: who makes it, and whose names are taken."""

from __future__ import annotations

from testtime.estimators.grid import USES
from testtime.estimators.table import TOKENS
from testtime.storage.tables import SCHEMAS

LOGPROBS = ("logprob_mean", "logprob_min", "answer_logprob")  # that selectors may weigh by
COSTS = ("context_tokens", "path_tokens", "calls", "flops", "prompt_flops")
COLUMNS = (
    *("problem_id", "model", "setting", "budget", "sample", "score", "answer_key"),
    *(*TOKENS, *COSTS, "forced", "verdict", "truncated", *LOGPROBS),
)
TAKEN = {  # what a reward's column cannot be called
    *(*COLUMNS, *USES, "wait", "round", "turn", "nodes", "width", "beams", "particles", "depth"),
    *("prm", "ess", "verifier_flops", "path_seconds", "convention"),
    *("planner_tokens", "planner_fed", "planner_context", "planner_flops"),
    *("planner_usd", "planner_seconds"),
    *("level", "difficulty", "tokens", "usd", "seconds", "prompt_usd", "prompt_seconds"),
    *SCHEMAS["calls"].names,
}
