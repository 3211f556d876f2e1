"""A run's YAML: every mistake is one line that names file, line, key and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from testtime.errors import UserError
from testtime.strategies import registry as config_file
from testtime.strategies.nested import Nested

GOOD = """\
task: chain_sum
model: quickstart
thinking:
  budgets: [96, 0, 32]
samples: 12
"""
COLD = "answer: {sampling: {temperature: 0}}"
CHAT = "engine: {name: endpoint, args: {urls: x, api: chat}}"
TOLD = "{name: hosted, template: {enable_thinking: true}}"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_config_that_ships_is_valid(path: Path) -> None:
    assert config_file.load(path).name == path.stem


def test_short_forms_and_defaults(tmp_path: Path) -> None:
    config = config_file.load(written(tmp_path, GOOD))
    assert (
        config.name == "study"
        and config.task[0].name == "chain_sum"
        and config.model[0].name == "quickstart"
    )
    assert isinstance(config.thinking, Nested) and config.thinking.budgets == [0, 32, 96]
    assert config.engine.name == "auto"
    assert config.sample_counts() == [1, 2, 4, 8, 12]
    assert config_file.parse(config.model_dump()) == config


def test_overrides_are_yaml_by_dotted_keys(tmp_path: Path) -> None:
    given = [
        "samples=4",
        "thinking.budgets=[8]",
        "engine=vllm",
        "engine.max_num_seqs=7",
        "task.limit=3",
        "n=[1, 4]",
    ]
    config = config_file.load(written(tmp_path, GOOD), given)
    assert config.samples == 4 and config.thinking == Nested(budgets=[8]) and config.n == [1, 4]
    assert (config.engine.name, config.engine.max_num_seqs) == ("vllm", 7)
    assert (config.task[0].name, config.task[0].limit) == ("chain_sum", 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("samples", "sampels"), r"study.yaml:5: unknown key 'sampels'; did you mean 'samples'"),
        (
            ("budgets", "budgts"),
            r"study.yaml:4: unknown key 'thinking.budgts'; did you mean 'budgets'",
        ),
        (
            ("[96, 0, 32]", "[96, -1]"),
            r"study.yaml:4: thinking.budgets.1: .*greater than or equal to 0, found -1",
        ),
        (("[96, 0, 32]", "[96, 96]"), r"study.yaml:4: thinking.budgets: names a number twice"),
        (("[96, 0, 32]", "[]"), r"study.yaml:4: thinking.budgets: .*at least 1"),
        (("model: quickstart\n", ""), r"study.yaml: key 'model' is missing"),
        (("samples: 12", "samples: many"), r"study.yaml:5: samples: .*integer"),
        (("samples: 12", "samples: 4\nn: [1, 8]"), r"n: 8 is more than samples \(4\)"),
        (("samples: 12", "selectors: [majorty]"), r"study.yaml:5: selectors: .*'majorty'"),
        (("samples: 12", "selectors: [weighted]"), r"write weighted:COLUMN"),
        (
            ("samples: 12", "sampling: {presence_penalty: 0.5}"),
            r"sampling.presence_penalty: nested budgets cannot",
        ),
        (("samples: 12", "engine: vlm"), r"study.yaml:5: engine.name: .*'vlm'"),
        (("quickstart", "[a, a]"), r"study.yaml:2: model: lists 'a' twice"),
        (("samples: 12", "price: {input: 1}"), r"key 'price.output' is missing"),
        (
            ("samples: 12", "price: {input: 1, output: -2}"),
            r"study.yaml:5: price.output: .*found -2",
        ),
        (
            ("samples: 12", "price: {input: 1, outptu: 2}"),
            r"unknown key 'price.outptu'; did you mean 'output'",
        ),
        (("samples: 12", "rates: {dcode: 9}"), r"unknown key 'rates.dcode'; did you mean 'decode'"),
        (("  budgets:", "  strategy: nestd\n  budgets:"), r"thinking.strategy: 'nestd' is unknown"),
        (("  budgets:", "  mode: engine\n  budgets:"), r"write thinking.strategy: native"),
        (("  budgets:", "  extensions: 2\n  budgets:"), r"unknown key 'thinking.extensions'"),
        (
            ("  budgets:", "  strategy: wait\n  extensoins: 2\n  budgets:"),
            r"study.yaml:5: unknown key 'thinking.extensoins'; did you mean 'extensions'",
        ),
        (("samples: 12", CHAT), r"a chat server gives no token ids.*strategy: native"),
        (
            ("samples: 12", "rates: {concurrency: 4, decode: 9}"),
            r"study.yaml:5: rates: prefill and decode go together",
        ),
        (("samples: 12", "rates: {concurrency: 0}"), r"rates.concurrency: .*found 0"),
        (("task: chain_sum", "task: ["), r"not valid YAML"),
        (
            ("  budgets:", "  strategy: native\n  ending: So\n  budgets:"),
            r"thinking.ending: with strategy native the thinking is",
        ),
        (
            ("  budgets: [96, 0, 32]", f"  strategy: native\n  budgets: [9]\n{COLD}"),
            r"answer.sampling: with strategy native one",
        ),
        (
            (
                "  budgets: [96, 0, 32]",
                f"  strategy: native\n  budgets: [9]\n  family: think\n{CHAT}",
            ),
            r"thinking.family: with",
        ),
        (
            (
                "quickstart\nthinking:\n  budgets: [96, 0, 32]",
                f"{TOLD}\nthinking:\n  strategy: native\n  budgets: [9]\n{CHAT}",
            ),
            r"model.template: a chat server fills in its own template; write request: "
            r"{chat_template_kwargs",
        ),
        ((GOOD, "[1, 2]"), r"expected keys such as task"),
    ],
)
def test_mistakes(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        config_file.load(written(tmp_path, GOOD.replace(*change)))
    assert "\n" not in str(caught.value)


def test_a_penalty_is_allowed_where_nothing_is_cut(tmp_path: Path) -> None:
    text = GOOD.replace(
        "thinking:", "sampling: {presence_penalty: 0.5}\nthinking:\n  strategy: fresh"
    )
    assert config_file.load(written(tmp_path, text)).sampling.penalty == "presence_penalty"


@pytest.mark.parametrize(
    "override", ["samples", "=3", "samples.x=3", "samples=[", "thinking.budgets=-1"]
)
def test_wrong_overrides(tmp_path: Path, override: str) -> None:
    with pytest.raises(UserError):
        config_file.load(written(tmp_path, GOOD), [override])


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        config_file.load(tmp_path / "no.yaml")
