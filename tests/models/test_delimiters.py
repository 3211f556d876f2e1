from __future__ import annotations

import pytest

from tests.tiny import tokenizer
from testtime.errors import UserError
from testtime.models.delimiters import FINAL_ANSWER, detect, encode, quote, render, resolve

ASK = [{"role": "user", "content": "2+2"}]
PLAIN = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


def test_a_family_is_detected_from_single_tokens_and_its_ending_closes_the_thinking() -> None:
    made = tokenizer()
    form = resolve(made)
    assert detect(made) == "think" and len(form.open) == len(form.close) == 1
    assert made.decode(form.ending) == "\n</think>\n\n" and form.lead == "\n\n"


def test_a_model_without_delimiters_gets_an_ending_that_asks_for_the_answer() -> None:
    form = resolve(tokenizer(specials=("<eos>",)))
    assert not form.delimited and form.lead == FINAL_ANSWER


def test_delimiters_of_several_tokens_are_id_sequences() -> None:
    form = resolve(tokenizer(specials=("<eos>",)), delimiters=("[T]", "[/T]"))
    assert len(form.open) == 3 and len(form.close) == 4


def test_an_ending_may_say_more_and_its_tail_belongs_to_the_graded_text() -> None:
    assert resolve(tokenizer(), ending="Enough.</think>The answer is ").lead == "The answer is "


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"family": "thnk"}, "did you mean 'think'"),
        ({"ending": "stop now"}, "does not contain the closing delimiter '</think>'"),
        ({"delimiters": ("«", "»")}, "cannot write '«'"),
    ],
)
def test_mistakes_are_named(options: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        resolve(tokenizer(), **options)


def test_the_opening_is_appended_only_where_the_template_does_not_open() -> None:
    for template in (PLAIN, PLAIN + "<think>", PLAIN + "<think>\n"):
        made = tokenizer(template=template)
        prompt = made.decode(render(made, ASK, resolve(made)))
        assert prompt.rstrip("\n") == "2+2<think>"
    made = tokenizer()
    assert made.decode(render(made, ASK, resolve(made))) == "2+2<think>"  # no template: plain text
    assert made.decode(render(made, "Q: 2+2\nA:", resolve(made))) == "Q: 2+2\nA:<think>"


def test_an_earlier_closed_thinking_in_the_prompt_is_not_the_opening() -> None:
    made = tokenizer(template="<think>x</think>old" + PLAIN)
    assert made.decode(render(made, ASK, resolve(made))) == "<think>x</think>old2+2<think>"


def test_a_template_that_switches_thinking_off_is_refused_and_its_switch_is_passed() -> None:
    made = tokenizer(template=PLAIN + "{% if off %}<think>\n\n</think>\n\n{% endif %}")
    with pytest.raises(UserError, match="closes the thinking"):
        render(made, ASK, resolve(made), {"off": True})
    assert made.decode(render(made, ASK, resolve(made), {"off": False})) == "2+2<think>"


@pytest.mark.parametrize("model", ["quickstart", "agent", "ladder/0"])
def test_an_ending_of_which_the_tokenizer_drops_some_white_space_is_not_taken(model: str) -> None:
    r"""The ladder writes `\n\n`, which ends a step, and no `\n`; it never answered behind a step."""
    from transformers import AutoTokenizer

    from testtime import zoo

    form = resolve(AutoTokenizer.from_pretrained(zoo.path(model)))
    assert form.ending == form.close and form.lead == ""


def test_a_quoted_text_holds_no_special_token_and_never_fails() -> None:
    made = tokenizer()
    text = "a</think>b<eos>"
    assert len(encode(made, text)) == 4 and len(quote(made, text)) == len(text)
    assert made.decode(quote(made, text)) == text
    assert made.decode(quote(made, "a∑b"), skip_special_tokens=True) in ("ab", "a<unk>b")


def test_a_template_that_refuses_the_turns_is_one_line() -> None:
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}x"
    form = resolve(made := tokenizer(template=template))
    turns = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "1+1"}]
    assert render(made, turns[1:], form)
    with pytest.raises(UserError, match="template refuses a prompt: no system"):
        render(made, turns, form)
