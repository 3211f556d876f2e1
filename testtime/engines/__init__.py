"""What generates: one file an engine, one small protocol (`base.Engine`)."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from testtime.engines.base import Engine, EngineUnavailable

if TYPE_CHECKING:
    from testtime.config import EngineSpec


def make(spec: EngineSpec, model: str, revision: str | None = None) -> tuple[Engine, str]:
    """The engine a config asks for, with the model loaded, and a line that says which was chosen and why.

    model: a local folder or hub id. Raises EngineUnavailable when the engine is not installed here.
    """
    name, why = spec.name, ""
    if name == "auto":
        name = "vllm" if importlib.util.find_spec("vllm") else "transformers"
        why = " (auto: vLLM is installed)" if name == "vllm" else " (auto: vLLM is not installed)"
    options = {
        "revision": revision,
        "dtype": spec.dtype,
        **({"max_num_seqs": spec.max_num_seqs} if spec.max_num_seqs else {}),
    }
    if name == "vllm":
        from testtime.engines.vllm import VllmEngine

        return VllmEngine(model, args=spec.args, **options), name + why  # type: ignore[arg-type]
    if not (importlib.util.find_spec("torch") and importlib.util.find_spec("transformers")):
        raise EngineUnavailable(
            "engine transformers: torch and transformers are not installed; install testtime[transformers]"
        )
    from testtime.engines.transformers import TransformersEngine

    return TransformersEngine(model, **options, **spec.args), name + why  # type: ignore[arg-type]
