"""What reads a verifier: token ids, and where in them to ask how probably all is right so far.

A reader knows no text: how question and answer become tokens, and where they are read, is said by
`step_layouts` and `reward`. Attention is causal, so padding on the right and what follows a place
change nothing there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from testtime.engines import reaper
from testtime.engines.vllm import cpu_settings, quiet
from testtime.errors import UserError

ReadBy = Literal["transformers", "vllm"]
Places = tuple[list[int], list[int]]  # token ids, and which of them to read at
HEADS = ("ForSequenceClassification", "ForTokenClassification")


class Reader(Protocol):
    """A verifier in memory. batch_tokens: of one call, padding included."""

    batch_tokens: int

    def right(self, texts: Sequence[Places]) -> list[NDArray[np.float64]]:
        """The probability of "right" at each place of each text, none of which is beyond the
        model's context. One label is read as a logit, of two the second is "right".
        """
        ...

    def close(self) -> None: ...


class HeadReader:
    """A verifier through transformers.

    path: a folder or hub id; kind: its architecture; labels: of a causal model, the tokens that say
    wrong and right, None for a head, which is found among the weights by its name. Raises UserError
    where it cannot be loaded.
    """

    batch_tokens = 16384

    def __init__(
        self,
        path: str | Path,
        kind: str,
        labels: tuple[int, int] | None = None,
        *,
        dtype: str = "auto",
        device: str | None = None,
    ) -> None:
        import torch
        import transformers

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        said = transformers.logging.get_verbosity()
        transformers.logging.set_verbosity_error()  # a head that AutoModel passes over is read here
        known = next((head for head in HEADS if kind.endswith(head)), None)
        load = getattr(transformers, f"AutoModel{'ForCausalLM' if labels else known or ''}")
        try:
            whole = load.from_pretrained(str(path), dtype=dtype)
            self._body = whole.base_model
            if labels:
                rows = whole.get_output_embeddings().weight.detach()[list(labels)]
                self._head = _linear(rows, None)
            else:
                self._head = getattr(whole, "score", None) or _head(path)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"verifier {path}: cannot be loaded ({' '.join(str(error).split())[:200]})"
            ) from None
        finally:
            transformers.logging.set_verbosity(said)
        self._body.to(self.device).eval()
        self._head.to(self.device, self._body.dtype).eval()

    def right(self, texts: Sequence[Places]) -> list[NDArray[np.float64]]:
        import torch

        width = max(1, *(len(ids) for ids, _ in texts))
        ids, mask = (torch.zeros((len(texts), width), dtype=torch.long) for _ in range(2))
        for row, (text, _) in enumerate(texts):
            ids[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = 1
        with torch.inference_mode():
            hidden = self._body(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
            ).last_hidden_state
            logits = [self._head(hidden[row, at]).double() for row, (_, at) in enumerate(texts)]
        return [_right(one).cpu().numpy() for one in logits]

    def close(self) -> None: ...


class PooledReader:
    """A verifier with a classification head on vLLM's pooling runner, which batches by itself.

    args: vLLM engine arguments. Raises UserError for a model without such a head, where vLLM is not
    installed, and where it refuses model or arguments.
    """

    batch_tokens = 1 << 30
    heads = (*HEADS, "ForProcessRewardModel")

    def __init__(
        self,
        path: str | Path,
        kind: str,
        *,
        dtype: str = "auto",
        args: Mapping[str, Any] | None = None,
    ) -> None:
        if not kind.endswith(self.heads):
            raise UserError(
                f"verifier {path}: vLLM pools models {', '.join(self.heads)}, not {kind}; let "
                "engine transformers read it"
            )
        quiet()
        try:
            from vllm import LLM
            from vllm.config import PoolerConfig
            from vllm.platforms import current_platform
        except ImportError as error:
            raise UserError(
                f"verifier {path}: vLLM cannot be imported ({error}); choose engine transformers"
            ) from None
        settings = {
            "model": str(path),
            "dtype": dtype,
            "runner": "pooling",
            # Every token: some models pool by themselves only where they know a step to end.
            "pooler_config": PoolerConfig(task="token_classify", tok_pooling_type="ALL"),
            **(cpu_settings(dtype) if current_platform.is_cpu() else {}),
            **(args or {}),
        }
        self._reaper = reaper.watch()
        try:
            self._llm = LLM(**settings)
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            self._reaper.terminate()
            raise UserError(
                f"verifier {path}: vLLM cannot load it: {' '.join(str(error).split())[:300]}"
            ) from error

    def right(self, texts: Sequence[Places]) -> list[NDArray[np.float64]]:
        prompts = [{"prompt_token_ids": ids} for ids, _ in texts]
        outputs = self._llm.encode(prompts, pooling_task="token_classify", use_tqdm=False)
        tokens = [output.outputs.data.double().numpy()[:, -1] for output in outputs]
        return [values[at] for values, (_, at) in zip(tokens, texts, strict=True)]

    def close(self) -> None:
        self._llm.llm_engine.engine_core.shutdown()
        self._reaper.terminate()
        self._reaper.wait()


def reader(
    engine: ReadBy,
    path: str | Path,
    kind: str,
    labels: tuple[int, int] | None = None,
    *,
    dtype: str = "auto",
    device: str | None = None,
    args: Mapping[str, Any] | None = None,
) -> Reader:
    """The reader that an engine's name asks for; the rest as these have it. Raises UserError as
    they do.
    """
    if engine == "vllm":
        return PooledReader(path, kind, dtype=dtype, args=args)
    return HeadReader(path, kind, labels, dtype=dtype, device=device)


def architecture_of(config: dict[str, Any]) -> str:
    """What a config.json calls its model; "none" where it names nothing."""
    return str((config.get("architectures") or ["none"])[0])


def batches(order: Sequence[int], tokens: NDArray[np.int64], batch_tokens: int) -> list[list[int]]:
    """Texts of like length together, padded to the longest within `batch_tokens`; order: of
    length.
    """
    made: list[list[int]] = []
    for i in order:
        if made and (len(made[-1]) + 1) * tokens[i] <= batch_tokens:
            made[-1].append(i)
        else:
            made.append([i])
    return made


def _right(logits: Any) -> Any:
    """logits: (places, labels)."""
    return logits[:, 0].sigmoid() if logits.shape[-1] == 1 else logits.softmax(-1)[:, 1]


def heads(path: str | Path) -> dict[str, Any]:
    """The tensors of a folder's heads, by name."""
    from safetensors import safe_open

    held = {}
    for file in sorted(Path(path).glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - not a mapping
                if key.startswith(("v_head.", "score.", "classifier.")):
                    held[key] = tensors.get_tensor(key)
    return held


def _head(path: str | Path) -> Any:
    """The head that the weights hold: one layer, or two with a ReLU between them."""
    import torch

    weights = heads(path)
    stems = sorted({key.rsplit(".", 1)[0] for key in weights})
    if not stems:
        raise UserError(
            f"verifier {path}: its weights hold no head (score.*, classifier.* or v_head.*); give "
            "a local folder with safetensors of a process reward model"
        )
    layers: list[Any] = []
    for stem in stems:
        layer = _linear(weights[f"{stem}.weight"], weights.get(f"{stem}.bias"))
        layers += [torch.nn.ReLU(), layer] if layers else [layer]
    return torch.nn.Sequential(*layers)


def _linear(weight: Any, bias: Any) -> Any:
    import torch

    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return layer
