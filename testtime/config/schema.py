"""A run's config as typed models: what is asked, of which models, at which budgets, how samples
become one answer.

Each says what its keys mean and refuses what cannot be; `config_file` reads them from a YAML.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from testtime.engines.base import Sampling
from testtime.errors import UserError
from testtime.grammar import selector


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _named(value: Any) -> Any:
    """`gsm8k` is short for `{name: gsm8k}`, and one for a list of one."""
    items = value if isinstance(value, list) else [value]
    return [{"name": item} if isinstance(item, str) else item for item in items]


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class TaskRef(_Model):
    """A benchmark by name or YAML path; `overrides` changes its YAML (path, size, settings,
    ...).
    """

    name: str
    limit: int | None = Field(None, ge=1)
    seed: int = 0
    overrides: dict[str, Any] = {}


class Price(_Model):
    """Dollars per million tokens of input, of output, and of input served from a cache (default:
    the input price).
    """

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(None, ge=0, allow_inf_nan=False)


class RatesSpec(_Model):
    """Tokens a second with `concurrency` requests in flight. Without prefill and decode the run
    measures them itself.

    context: the length around which the given rates hold.
    """

    concurrency: int = Field(ge=1)
    prefill: float | None = Field(None, gt=0, allow_inf_nan=False)
    decode: float | None = Field(None, gt=0, allow_inf_nan=False)
    context: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _both(self) -> RatesSpec:
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
    price: Price | None = None
    rates: RatesSpec | None = None


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


def _ascending(budgets: list[int]) -> list[int]:
    if len(set(budgets)) < len(budgets):
        raise ValueError("names a budget twice; write each once")
    return sorted(budgets)


class Thinking(_Model):
    """Thinking budgets in tokens. Mode nested cuts one chain at every budget; fresh draws one chain
    a budget; engine tells the engine the budget, which closes the thinking itself (vLLM's
    thinking_token_budget), or a chat server its model's level.

    extensions: how often a chain that ends by itself is made to go on, with `marker` in place of
    its end (nested only).
    """

    budgets: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(_ascending)
    ]
    mode: Literal["nested", "fresh", "engine"] = "nested"
    family: str | None = None
    delimiters: tuple[str, str] | None = None
    ending: str | None = None
    extensions: int = Field(0, ge=0)
    marker: str = "Wait"


class SamplingSpec(_Model):
    """How tokens are drawn; see engines.base.Sampling."""

    temperature: float = Field(1.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    min_p: float = Field(0.0, ge=0, le=1)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    repetition_penalty: float = Field(1.0, gt=0)

    def sampling(self) -> Sampling:
        return Sampling(**self.model_dump())

    @property
    def penalty(self) -> str | None:
        """The name of a penalty that is on: it looks at the whole text, so nested budgets refuse
        it.
        """
        neutral = {"presence_penalty": 0, "frequency_penalty": 0, "repetition_penalty": 1}
        return next((name for name, value in neutral.items() if getattr(self, name) != value), None)


class Answer(_Model):
    """What follows the thinking: at most `max_tokens`, drawn like the chain unless `sampling` says
    otherwise.
    """

    max_tokens: int = Field(1024, ge=1)
    sampling: SamplingSpec | None = None


class Config(_Model):
    """One run. `n` are the numbers of samples a cell may spend (default: powers of two up to
    `samples`).

    price, rates: what dollars and seconds are counted by; changing them re-reads the pool and draws
    nothing.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    task: Annotated[list[TaskRef], BeforeValidator(_named), Field(min_length=1)]
    model: Annotated[list[ModelRef], BeforeValidator(_named), Field(min_length=1)]
    engine: Annotated[
        EngineSpec, BeforeValidator(lambda v: {"name": v} if isinstance(v, str) else v)
    ] = EngineSpec()
    thinking: Thinking
    sampling: SamplingSpec = SamplingSpec()
    answer: Answer = Answer()
    samples: int = Field(16, ge=1)
    n: Annotated[list[Annotated[int, Field(ge=1)]], BeforeValidator(_listed)] = []
    selectors: Annotated[list[str], BeforeValidator(_listed)] = ["majority", "oracle"]
    price: Price | None = None
    rates: RatesSpec | None = None
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
    def _consistent(self) -> Config:
        if self.n and max(self.n) > self.samples:
            raise ValueError(
                f"n: {max(self.n)} is more than samples ({self.samples}); raise samples or lower n"
            )
        if self.thinking.mode != "nested" and self.thinking.extensions:
            raise ValueError(
                "thinking.extensions: chains are extended in nested mode; write thinking.mode: "
                "nested"
            )
        if self.thinking.mode == "nested" and self.sampling.penalty:
            raise ValueError(
                f"sampling.{self.sampling.penalty}: nested budgets cannot have it, since a cut "
                f"chain would differ from "
                "a fresh one; leave it out, or write thinking.mode: fresh"
            )
        return self

    @model_validator(mode="after")
    def _engine_mode(self) -> Config:
        told, chat = self.thinking.mode == "engine", self.engine.chat
        if told and self.engine.name not in ("auto", "vllm", "endpoint"):
            raise ValueError(
                f"thinking.mode: engine needs one that closes the thinking itself; engine "
                f"{self.engine.name} does not, "
                "write engine: vllm, or thinking.mode: nested"
            )
        if chat and not told:
            raise ValueError(
                "engine.args.api: a chat server gives no token ids, so no chain can be cut; "
                "write thinking.mode: engine, and the levels as models with a setting and a request"
            )
        if chat and len(self.thinking.budgets) > 1:
            raise ValueError(
                "thinking.budgets: a chat server cannot be held to a budget; write one, which "
                "with answer.max_tokens "
                "caps all its tokens"
            )
        if chat and any(
            rates and not rates.prefill
            for rates in (self.rates, *(ref.rates for ref in self.model))
        ):
            raise ValueError(
                "rates: a chat server takes no token ids to measure with; give prefill and decode "
                "too"
            )
        if chat and any(ref.template for ref in self.model):
            raise ValueError(
                "model.template: a chat server fills in its own template; "
                "write request: {chat_template_kwargs: {enable_thinking: false}}"
            )
        set_here = [
            k for k in ("family", "delimiters") if chat and getattr(self.thinking, k) is not None
        ]
        if told and (set_here or self.thinking.ending is not None):
            key = (*set_here, "ending")[0]
            raise ValueError(
                f"thinking.{key}: in mode engine the thinking is closed elsewhere; leave it out"
            )
        if told and self.answer.sampling:
            raise ValueError(
                "answer.sampling: in mode engine one request draws thinking and answer; leave it "
                "out"
            )
        if not chat and any(ref.request for ref in self.model):
            raise ValueError(
                "model.request: fields of a chat server's requests; write engine.args.api: chat "
                "with it"
            )
        return self

    def sample_counts(self) -> list[int]:
        """The n of the grid, ascending."""
        if self.n:
            return sorted(set(self.n))
        powers = [1 << i for i in range(self.samples.bit_length()) if 1 << i <= self.samples]
        return sorted({*powers, self.samples})
