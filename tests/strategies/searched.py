"""A tiny tree of texts, a judge of few scores, and the searches written out plainly over them.

The plain searches know no ledger: what was drawn at a text they read off the engine's log, in the
order of the candidates, so they agree with a strategy only if it asked for the same and chose
alike.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from tests.strategies.drawn import ANSWER_TOKENS, PROMPT
from tests.tiny import CLOSE, EOS
from testtime.engines.base import Completion, EngineError, Request, Scored

STEP = 20
TEXTS = {10: "a", 11: "b", STEP: "\n\n", 21: "\n"}
Ids = tuple[int, ...]


def text(ids: Sequence[int]) -> str:
    return "".join(TEXTS.get(token, "") for token in ids)


class Tree:
    """An engine that draws by a request's seed alone (greedily: by its place), and keeps a log.

    Steps are short, some without text, some cut by their cap; some end the thinking, some end in
    end-of-sequence. step: the ids that end one; left: requests until it dies.
    """

    name = "tree"
    max_num_seqs = 8

    def __init__(self, left: int = 1 << 30, step: Ids = (STEP,)) -> None:
        self.left, self.step, self.generated = left, step, 0
        self.log: defaultdict[tuple[Ids, str], list[list[int]]] = defaultdict(list)

    async def complete(self, request: Request) -> Completion:
        self.left -= 1
        if self.left < 0:
            raise EngineError("killed")
        assert request.prompt is not None
        greedy, ids = request.sampling.temperature == 0, list[int]()
        noise = random.Random(repr(request.prompt) if greedy else request.seed)
        stops = {EOS, *request.stop_token_ids}
        while len(ids) < request.max_tokens and not (ids and ids[-1] in stops):
            (token,) = noise.choices([10, 11, STEP, CLOSE, EOS], [4, 3, 3, 1, 0.4])
            ids += self.step if token == STEP else [token]
        ids = ids[: request.max_tokens]
        self.generated += len(ids)
        kind = "answer" if request.max_tokens == ANSWER_TOKENS else "ahead" if greedy else "step"
        self.log[request.prompt[len(PROMPT) :], kind].append(ids)
        ended = ids[-1] in stops
        return Completion(ids, "", "stop" if ended else "length", [-1.0] * len(ids), len(PROMPT))

    async def close(self) -> None: ...


class Judge:
    """A verifier of four scores, so that ties are common. left: requests until it dies."""

    name = "judge"

    def __init__(self, left: int = 1 << 30) -> None:
        self.left, self.asked = left, Counter[tuple[str, ...]]()

    async def score(self, question: str, steps: Sequence[str]) -> Scored:
        self.left -= 1
        if self.left < 0:
            raise EngineError("killed")
        plain = [step.strip() for step in steps]
        assert question == "question p0" and all(plain)
        self.asked[tuple(plain)] += 1
        counts = range(len(plain) + 1)
        return Scored([said(plain[:n]) for n in counts[1:]], [10 + 3 * n for n in counts])

    async def close(self) -> None: ...


def said(steps: Sequence[str]) -> float:
    """Quarters, which 32 bits hold exactly; products and means of them too."""
    return hashlib.blake2b("|".join(steps).encode()).digest()[0] % 4 / 4


@dataclass(frozen=True)
class Beam:
    ids: Ids = ()
    steps: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    end: str = ""


@dataclass
class Plain:
    """The searches by brute force over a log."""

    log: dict[tuple[Ids, str], list[list[int]]]
    lookahead: int = 0
    max_steps: int = 5
    join: str = "last"
    read: Counter[tuple[Ids, str]] = field(default_factory=Counter)
    asked: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def take(self, ids: Ids, kind: str, number: int = 0) -> list[int]:
        self.read[ids, kind] += 1
        return self.log[ids, kind][number]

    def grow(self, beam: Beam, number: int) -> Beam:
        drawn = self.take(beam.ids, "step", number)
        end = {CLOSE: "natural", EOS: "eos"}.get(drawn[-1], "")
        ids, said_now = (*beam.ids, *(drawn[:-1] if end == "eos" else drawn)), text(drawn).strip()
        return replace(beam, ids=ids, steps=(*beam.steps, *filter(None, [said_now])), end=end)

    def judge(self, beam: Beam, before: Beam) -> Beam:
        ahead = self.take(beam.ids, "ahead") if self.lookahead and not beam.end else []
        further = [step for step in text(ahead).split("\n\n") if step.strip()]
        if beam.steps == before.steps and not further:
            return beam
        self.asked[(*beam.steps, *further)] += 1
        return replace(beam, scores=(*beam.scores, said((*beam.steps, *further))))

    def score(self, beam: Beam) -> float:
        x = beam.scores or (0.0,)
        return {"last": x[-1], "min": min(x), "product": math.prod(x), "mean": sum(x) / len(x)}[
            self.join
        ]

    def candidates(self, beams: Sequence[Beam], width: int, judge: bool = True) -> list[Beam]:
        made: dict[Any, tuple[Beam, Beam]] = {}
        for beam in beams:
            for number in range(width):
                new = self.grow(beam, number)
                made.setdefault((new.ids, new.end), (new, beam))
        return [self.judge(new, beam) if judge else new for new, beam in made.values()]

    def stepwise(self, width: int) -> Beam:
        beam = Beam()
        for _ in range(self.max_steps):
            made = self.candidates([beam], width, judge=width > 1)
            best = max(map(self.score, made))
            beam = next(one for one in made if self.score(one) == best)
            if beam.end:
                break
        if width == 1 and beam.steps:
            self.asked[beam.steps] += 1
            counts = range(1, len(beam.steps) + 1)
            beam = replace(beam, scores=tuple(said(beam.steps[:n]) for n in counts))
        return beam

    def particles(
        self, n: int, systematic: bool, noise: Callable[[int], list[float]]
    ) -> tuple[list[tuple[Beam, float]], list[float]]:
        """The particles at the end with their weights, and each step's effective sample size.

        noise: the uniform numbers of a step.
        """
        swarm, weights, sizes = [Beam()] * n, [1 / n] * n, list[float]()
        for step in range(self.max_steps):
            u = noise(step)
            points = [(u[0] + i) / n for i in range(n)] if systematic else u
            chosen = [sum(1 for c in accumulate(weights) if c <= point) for point in points]
            copies, judged, moved = Counter[Ids](), dict[Any, Beam](), list[Beam]()
            for beam in (swarm[min(i, n - 1)] for i in chosen):
                if not beam.end:
                    new, before = self.grow(beam, copies[beam.ids]), beam
                    copies[beam.ids] += 1
                    if (new.ids, new.end) not in judged:
                        judged[new.ids, new.end] = self.judge(new, before)
                    beam = judged[new.ids, new.end]
                moved.append(beam)
            swarm = moved
            scores = [min(max(self.score(beam), 1e-7), 1 - 1e-7) for beam in swarm]
            logits = [math.exp(math.log(p / (1 - p))) for p in scores]
            weights = [logit / sum(logits) for logit in logits]
            sizes.append(1 / sum(weight**2 for weight in weights))
            if all(beam.end for beam in swarm):
                break
        return list(zip(swarm, weights, strict=True)), sizes

    def beams(self, n: int, width: int) -> list[Beam]:
        """The paths that ended, best first."""
        alive, ended = [Beam()], list[Beam]()
        for step in range(self.max_steps):
            made = self.candidates(alive, width if step else n)
            ended += [beam for beam in made if beam.end]
            alive = [beam for beam in made if not beam.end]
            alive = sorted(alive, key=lambda beam: -self.score(beam))[: n // width]
            if not alive or len(ended) >= n:
                alive = []
                break
        return sorted([*ended, *alive], key=lambda beam: -self.score(beam))[:n]
