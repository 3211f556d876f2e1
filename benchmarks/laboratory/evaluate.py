"""How good a checkpoint is: held-out loss of all it writes, of the facts alone and of what is only
copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.laboratory.data import COPY, FACT, GUESS, Examples

PARTS = {"": (FACT,), "_written": (COPY, FACT, GUESS), "_copied": (COPY,), "_guesses": (GUESS,)}
"""The loss is that of the tokens that carry information; the rest is form, which is learnt once."""


def losses(model: Any, batches: list[Examples]) -> dict[str, float]:
    """Nats per token: `loss` over the letters that steps find, `loss_written` over every token
    written, `loss_copied` and `loss_guesses` over what is only copied and over answers after a cut;
    each with its standard error `..._se`, sequences being the independent units.
    """
    import torch
    from torch.nn import functional

    sums: dict[str, list[np.ndarray]] = {name: [] for name in PARTS}
    counts: dict[str, list[np.ndarray]] = {name: [] for name in PARTS}
    with torch.no_grad():
        for one in batches:
            x, kinds = torch.from_numpy(one.tokens), one.kinds[:, 1:]
            logits = model(input_ids=x[:, :-1], use_cache=False).logits
            each = functional.cross_entropy(
                logits.flatten(0, 1).float(), x[:, 1:].flatten(), reduction="none"
            )
            nats = each.view(kinds.shape).double().numpy()
            for name, which in PARTS.items():
                mask = np.isin(kinds, which)
                sums[name].append((nats * mask).sum(1))
                counts[name].append(mask.sum(1))
    out = {}
    for name in PARTS:
        s, n = np.concatenate(sums[name]), np.concatenate(counts[name])
        mean = s.sum() / n.sum()
        out[f"loss{name}"] = float(mean)
        out[f"loss{name}_se"] = float(np.sqrt(((s - mean * n) ** 2).sum()) / n.sum())
    return out
