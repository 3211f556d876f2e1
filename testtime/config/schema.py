"""A run's config as typed models: what is asked, of which models, at which budgets, how samples
become one answer.

Each says what its keys mean and refuses what cannot be; `config_file` reads them from a YAML.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from testtime.errors import UserError
from testtime.grammar import selector


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def named(value: Any) -> Any:
    """`gsm8k` is short for `{name: gsm8k}`."""
    return {"name": value} if isinstance(value, str) else value


def _named(value: Any) -> Any:
    """The same of a list, for which one is short."""
    return [named(item) for item in (value if isinstance(value, list) else [value])]


def listed(value: Any) -> Any:
    """One is short for a list of one."""
    return value if isinstance(value, list) else [value]


class TaskRef(_Model):
    """A benchmark by name or YAML path; `overrides` changes its YAML (path, size, settings,
    ...).
    """

    name: str
    limit: int | None = Field(None, ge=1)
    seed: int = 0
    overrides: dict[str, Any] = {}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Prices:
    """Dollars per million tokens of input, of output (thinking and answer alike), and of input
    served from a cache (default: the input price).
    """

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(None, ge=0, allow_inf_nan=False)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Rates:
    """Tokens a second of the whole engine with `concurrency` requests in flight.

    prefill: prompt tokens; decode: sampled tokens, at contexts around `context` tokens (attention
    slows longer ones). A config without both has them measured by the run.
    """

    prefill: float | None = Field(None, gt=0, allow_inf_nan=False)
    decode: float | None = Field(None, gt=0, allow_inf_nan=False)
    concurrency: int = Field(1, ge=1)
    context: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _both(self) -> Rates:
        if (self.prefill is None) != (self.decode is None):
            raise ValueError(
                "prefill and decode go together; give both, or leave both out to have them measured"
            )
        return self


class ModelRef(_Model):
    """A model: a zoo name, a local folder or a hub id. `template` is passed to the chat template
    (enable_thinking: true).

    setting: names what the model is told (effort=low): the same model under several settings is
    listed once for each. request: further fields of every request to a chat server
    (reasoning_effort: low); null leaves one of ours out. training_tokens: what it was trained on,
    where the laws should place it; zoo models know their own. price, rates: its own, where they
    differ from the run's.
    """

    name: str
    revision: str | None = None
    template: dict[str, Any] = {}
    setting: str = Field("", pattern=r"^[A-Za-z0-9=._-]*$")
    request: dict[str, Any] = {}
    training_tokens: float | None = Field(None, gt=0)
    price: Prices | None = None
    rates: Rates | None = None


class EngineSpec(_Model):
    """What generates. `auto` is vLLM where it is installed, else transformers; `args` go to the
    engine unchanged.
    """

    name: Literal["auto", "transformers", "vllm", "endpoint", "ray"] = "auto"
    max_num_seqs: int | None = Field(None, ge=1)
    dtype: str = "auto"
    args: dict[str, Any] = {}

    @property
    def chat(self) -> bool:
        """Whether it takes messages and gives no token ids."""
        return self.name == "endpoint" and self.args.get("api") == "chat"


class Sampling(_Model):
    """How a token is drawn. Defaults sample from the model's own distribution; temperature 0 is
    greedy.

    top_k = 0 and top_p = 1 switch those filters off. The penalties look at the whole text so far.
    """

    temperature: float = Field(1.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    min_p: float = Field(0.0, ge=0, le=1)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    repetition_penalty: float = Field(1.0, gt=0)

    @property
    def penalty(self) -> str | None:
        """The name of a penalty that is on: it looks at the whole text, so cut chains refuse it."""
        neutral = {"presence_penalty": 0, "frequency_penalty": 0, "repetition_penalty": 1}
        return next((name for name, value in neutral.items() if getattr(self, name) != value), None)


class Answer(_Model):
    """What follows the thinking: at most `max_tokens`, drawn like the chain unless `sampling` says
    otherwise.
    """

    max_tokens: int = Field(1024, ge=1)
    sampling: Sampling | None = None


class Thinking(_Model):
    """The `thinking:` part: the options of a strategy, which each strategy adds to.

    family, delimiters, ending: how the model marks its thinking and how a cut one is closed, where
    they are not found by themselves.
    """

    strategy: str
    family: str | None = None
    delimiters: tuple[str, str] | None = None
    ending: str | None = None

    def check(self, config: Any) -> None:
        """Raises ValueError, beginning with the key, where this strategy cannot run so."""


T = TypeVar("T", bound=Thinking)


class Config(_Model, Generic[T]):
    """One run. `n` are the numbers of samples a cell may spend (default: powers of two up to
    `samples`).

    price, rates: what dollars and seconds are counted by; changing them re-reads the pool and draws
    nothing.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    task: Annotated[list[TaskRef], BeforeValidator(_named), Field(min_length=1)]
    model: Annotated[list[ModelRef], BeforeValidator(_named), Field(min_length=1)]
    engine: Annotated[EngineSpec, BeforeValidator(named)] = EngineSpec()
    thinking: T
    sampling: Sampling = Sampling()
    answer: Answer = Answer()
    samples: int = Field(16, ge=1)
    n: Annotated[list[Annotated[int, Field(ge=1)]], BeforeValidator(listed)] = []
    selectors: Annotated[list[str], BeforeValidator(listed)] = ["majority", "oracle"]
    price: Prices | None = None
    rates: Rates | None = None
    seed: int = 0
    resamples: int = Field(2000, ge=100)
    out: str = "runs"

    @field_validator("selectors")
    @classmethod
    def _known(cls, selectors: list[str]) -> list[str]:
        for text in selectors:
            try:
                selector(text)
            except UserError as error:
                raise ValueError(str(error)) from None
        return selectors

    @field_validator("model")
    @classmethod
    def _distinct(cls, model: list[ModelRef]) -> list[ModelRef]:
        told = [(ref.name, ref.setting) for ref in model]
        if double := next(
            (name for name, setting in told if told.count((name, setting)) > 1), None
        ):
            raise ValueError(
                f"lists {double!r} twice; give each a setting of its own, or list it once"
            )
        return model

    @model_validator(mode="after")
    def _consistent(self) -> Config[T]:
        if self.n and max(self.n) > self.samples:
            raise ValueError(
                f"n: {max(self.n)} is more than samples ({self.samples}); raise samples or lower n"
            )
        if not self.engine.chat and any(ref.request for ref in self.model):
            raise ValueError(
                "model.request: fields of a chat server's requests; write engine.args.api: chat"
            )
        if self.engine.chat:
            self._chat()
        self.thinking.check(self)
        return self

    def _chat(self) -> None:
        stated = self.rates, *(ref.rates for ref in self.model)
        if any(rates and not rates.prefill for rates in stated):
            raise ValueError(
                "rates: a chat server takes no token ids to measure with; give prefill and decode"
            )
        if any(ref.template for ref in self.model):
            raise ValueError(
                "model.template: a chat server fills in its own template; "
                "write request: {chat_template_kwargs: {enable_thinking: false}}"
            )

    def sample_counts(self) -> list[int]:
        """The n of the grid, ascending."""
        if self.n:
            return sorted(set(self.n))
        powers = [1 << i for i in range(self.samples.bit_length()) if 1 << i <= self.samples]
        return sorted({*powers, self.samples})
