"""What a run directory's attempts are called: their recipe, their cells and settings.

Little is imported here, so that whoever only looks at a run (`status`) answers at once.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from testtime.config.schema import Config
from testtime.models.delimiters import Format
from testtime.storage.manifest import Manifest
from testtime.strategies.base import Amounts, Strategy
from testtime.strategies.node import key_of


def recipe(config: Config[Strategy], form: Format) -> str:
    """A hash of how the attempts of a config are made: those of another one are not its own."""
    answer = config.answer.sampling or config.sampling
    asked = sorted(answer.model_dump().items()), config.answer.max_tokens
    return key_of(config.thinking.recipe(), sorted(asdict(form).items()), asked)


def cell_of(amounts: Amounts) -> str:
    """Amounts as the attempts table keeps them, such as "budget=8,round=2"."""
    return ",".join(f"{name}={amount}" for name, amount in amounts.items())


def setting_of(amounts: Amounts, told: str) -> str:
    """The setting of an attempt in the scores table: what the model was told, then all amounts but
    the budget.
    """
    more = cell_of({name: amount for name, amount in amounts.items() if name != "budget"})
    return ",".join(filter(None, (told, more)))


def form_of(manifest: Manifest) -> Format:
    """How the model of a drawn run marks its thinking."""
    stored = manifest.thinking_format.items()
    parts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored}
    return Format(**parts)


def recipe_of(config: Config[Strategy], manifest: Manifest) -> tuple[str, dict[str, Amounts]]:
    """The recipe of the attempts that a run directory's config asks for, and their amounts by
    cell.
    """
    form = form_of(manifest)
    return recipe(config, form), {cell_of(one): one for one in config.thinking.cells(form)}
