"""Findings about chat templates: each fault is one line of a template or of a tokenizer's settings."""

from __future__ import annotations

import pytest

from align.data.template import double_start, examine, own_system_prompt, special_texts
from align.findings import worst

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OWN_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are Bob, a helpful assistant.<|im_end|>\n{% endif %}"
)
NO_GENERATION_PROMPT = CHATML.replace("{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}", "")
NO_STOP = CHATML.replace("{{ m.content }}<|im_end|>\n", "{{ m.content }}\n")
STRIPS_EARLIER = CHATML.replace("{{ m.content }}", "{{ m.content if loop.last else m.content[:3] }}")


def states(findings: list) -> dict[str, str]:
    return {finding.found: finding.state for finding in findings}


def test_a_sound_template_has_no_warning(chatml) -> None:
    findings = examine(chatml, "tokenizer", [chatml.eos_token_id])
    assert worst(findings) == "ok"
    assert "answers end with <|im_end|> (2), which generation stops on" in states(findings)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (NO_GENERATION_PROMPT, "there is no generation prompt"),
        (NO_STOP, "the stop token <|im_end|> is never trained"),
        (STRIPS_EARLIER, "the prompt is not a prefix of prompt and answer"),
        ("{% for m in messages %}{{ raise_exception('no') }}{% endfor %}", "it refuses turns of user"),
    ],
)
def test_a_template_that_would_train_the_wrong_tokens_is_a_problem(make_tokenizer, template: str, says: str) -> None:
    findings = examine(make_tokenizer(template), "tokenizer")
    assert [f for f in findings if f.state == "problem" and says in f.found], findings


def test_a_template_that_rewrites_earlier_answers_only_is_said_to_do_for_the_last(make_tokenizer) -> None:
    thinks = CHATML.replace("{{ m.content }}", "{{ m.content if loop.last or m.role == 'user' else m.content[:3] }}")
    first, *_ = examine(make_tokenizer(thinks), "tokenizer")
    assert first.state == "warning" and first.remedy.startswith("Conversations whose last answer alone is trained")


def test_the_templates_own_system_prompt_is_told_word_for_word(make_tokenizer, chatml) -> None:
    assert own_system_prompt(make_tokenizer(OWN_SYSTEM + CHATML)) == "You are Bob, a helpful assistant."
    assert own_system_prompt(chatml) == ""


def test_pad_that_is_the_stop_token_is_told(make_tokenizer) -> None:
    tokenizer = make_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    assert [f for f in examine(tokenizer, "tokenizer") if f.state == "warning" and "pad == eos" in f.found]


def test_generation_that_stops_on_something_else_is_told(chatml) -> None:
    assert any("generation settings stop on <pad>" in found for found in states(examine(chatml, "tokenizer", [0])))


def test_a_base_models_tokenizer_is_told_to_have_no_template(make_tokenizer) -> None:
    (finding,) = examine(make_tokenizer(None), "tokenizer")
    assert finding.state == "warning" and "no chat template" in finding.found


def test_two_start_tokens_are_one_too_many(chatml) -> None:
    chatml.bos_token = "<pad>"
    try:
        assert double_start(chatml, "<pad><pad>Hi") == "<pad>"
        assert double_start(chatml, "<pad>Hi") == ""
    finally:
        chatml.bos_token = None


def test_rows_that_were_rendered_before_are_found_by_their_special_tokens(chatml) -> None:
    row = {"messages": [{"role": "user", "content": "<|im_start|>user\nHi<|im_end|>"}]}
    plain = {"messages": [{"role": "user", "content": "Hi"}]}
    assert special_texts([(1, plain), (7, row)], chatml) == {"<|im_start|>": [7], "<|im_end|>": [7]}
