"""transformers serve: messages alone; what it does not know it refuses, or passes over silently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testtime import zoo
from testtime.errors import UserError

from .conftest import Start, config, nested, own, said, texts

MODEL = str(zoo.path("quickstart"))
NAMED = {"served_model": MODEL}
SAMPLED = {"generation_config": json.dumps({"do_sample": True, "max_new_tokens": 40})}


@pytest.fixture(scope="module")
def url(start: Start) -> str:
    program = own("fastapi", "uvicorn", "openai") / "transformers"
    serve = "serve", MODEL, "--host", "127.0.0.1", "--port", "PORT", "--device", "cpu"
    return start([program, *serve], "/health", HF_HOME="PORT", HF_HUB_OFFLINE="1")


def test_nested_budgets_are_refused_in_one_line(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"takes text and no token ids .*api: chat"):
        said(nested(tmp_path, url, args=NAMED))


def test_without_a_cache_it_lists_no_models(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"says what it serves .*500.*served_model"):
        said(config(tmp_path, url))


def test_a_level_is_drawn_and_its_cap_must_be_named_as_it_knows_it(
    url: str, tmp_path: Path
) -> None:
    capped = {"max_completion_tokens": None, "max_tokens": 40}
    (run,), lines = said(config(tmp_path, url, args={**NAMED, "request": capped}))
    tokens = run.scores["thinking_tokens"] + run.scores["answer_tokens"]
    assert (run.scores["verdict"] != "missing").all() and tokens.between(1, 40).all()
    assert not any("cap not kept" in line for line in lines)
    # The model's own generation_config does not sample, and it does not let a temperature do so.
    assert all(len(set(part)) == 1 for part in texts(run))


def test_it_samples_where_its_generation_config_says_so(url: str, tmp_path: Path) -> None:
    told = config(tmp_path, url, args={**NAMED, "request": SAMPLED}, sampling={"temperature": 1.5})
    (run,), _ = said({**told, "samples": 4})
    assert any(len(set(part)) > 1 for part in texts(run))


def test_what_it_does_not_know_can_be_left_out(url: str, tmp_path: Path) -> None:
    refused = config(tmp_path, url, args=NAMED, sampling={"min_p": 0.1})
    with pytest.raises(UserError, match="no answer was drawn"):
        said(refused)
    told = config(
        tmp_path,
        url,
        args={**NAMED, "request": {"min_p": None}},
        sampling={"min_p": 0.1},
        name="mended",
    )
    (run,), _ = said(told)
    assert (run.scores["verdict"] != "missing").all()
