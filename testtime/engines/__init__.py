"""What generates: one file an engine, one small protocol (`base.Engine`)."""

from __future__ import annotations

import importlib.util
import inspect
from typing import TYPE_CHECKING, Any

from testtime.engines.base import Engine, EngineUnavailable
from testtime.errors import UserError, suggest

if TYPE_CHECKING:
    from testtime.config.schema import EngineSpec


def make(spec: EngineSpec, model: str, revision: str | None = None) -> tuple[Engine, str]:
    """The engine a config asks for, with the model loaded, and a line that says which was chosen
    and why.

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
    if name == "endpoint":
        from testtime.engines.endpoint import EndpointEngine

        served = {
            "max_num_seqs": spec.max_num_seqs,
            **spec.args,
        }  # weights and precision are the server's business
        return EndpointEngine(model, **_accepted(EndpointEngine, served)), name
    if name == "ray":
        from testtime.engines.ray import RayEngine

        cluster = RayEngine(model, **_accepted(RayEngine, options | spec.args))
        return (
            cluster,
            f"ray: {len(cluster.replicas.all)} of {cluster.actors} actors ready, each "
            f"{cluster.note}",
        )
    if not (importlib.util.find_spec("torch") and importlib.util.find_spec("transformers")):
        raise EngineUnavailable(
            "engine transformers: torch and transformers are not installed; install "
            "testtime[transformers]"
        )
    from testtime.engines.transformers import TransformersEngine

    return TransformersEngine(
        model, **_accepted(TransformersEngine, options | spec.args)
    ), name + why


def _accepted(engine: type, args: dict[str, Any]) -> dict[str, Any]:
    """The arguments, checked against what the engine's constructor takes."""
    parameters = inspect.signature(engine).parameters
    known = [key for key in parameters if key != "model"]
    for word in args:
        if word not in known:
            raise UserError(
                f"engine.args: {engine.__name__} has no argument {word!r}{suggest(word, known)}"
            )
    for word in known:
        if parameters[word].default is inspect.Parameter.empty and word not in args:
            raise UserError(f"engine.args: {word!r} is missing; {engine.__name__} needs it")
    return args
