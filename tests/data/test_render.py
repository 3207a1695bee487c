import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from align.data.render import (
    Rendered,
    RenderedPair,
    render_messages,
    render_preference,
    render_prompt,
    render_rows,
    truncate,
    truncate_pairs,
)
from align.errors import DataError, ModelError

HEAD, TAIL = "<|im_start|>", "<|im_end|>"


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def assistant(text: str, **more) -> dict:
    return {"role": "assistant", "content": text, **more}


def by_hand(messages, tokenizer) -> tuple[list[int], list[int]]:
    """ChatML spelled out: an assistant turn's content and stop token are trained, all else is not."""
    ids, mask, pending = [], [], ""

    def put(text, trained):
        piece = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        ids.extend(piece)
        mask.extend([trained] * len(piece))

    for message in messages:
        pending += f"{HEAD}{message['role']}\n"
        if message["role"] == "assistant" and message.get("train") is not False:
            put(pending, 0)
            put(message["content"] + TAIL, 1)
            pending = "\n"
        else:
            pending += message["content"] + TAIL + "\n"
    return ids, mask


def test_only_the_answer_and_its_stop_token_are_trained(make_tokenizer):
    tokenizer = make_tokenizer()
    row = render_messages([user("What is techno?"), assistant("Music from Detroit.")], tokenizer)
    assert row.text == f"{HEAD}user\nWhat is techno?{TAIL}\n{HEAD}assistant\nMusic from Detroit.{TAIL}"
    trained = [token for token, label in zip(row.input_ids, row.labels_mask, strict=True) if label]
    assert tokenizer.decode(trained) == f"Music from Detroit.{TAIL}"
    assert row.input_ids[-1] == tokenizer.eos_token_id


def test_the_newline_after_an_earlier_stop_token_is_not_trained(make_tokenizer):
    tokenizer = make_tokenizer()
    row = render_messages([user("a"), assistant("b"), user("c"), assistant("d")], tokenizer)
    trained = [token for token, label in zip(row.input_ids, row.labels_mask, strict=True) if label]
    assert tokenizer.decode(trained) == f"b{TAIL}d{TAIL}"
    assert tokenizer.decode(row.input_ids) == row.text


def test_a_turn_with_train_false_stays_out_of_the_loss(make_tokenizer):
    tokenizer = make_tokenizer()
    row = render_messages([user("a"), assistant("b", train=False), user("c"), assistant("d", train=True)], tokenizer)
    trained = [token for token, label in zip(row.input_ids, row.labels_mask, strict=True) if label]
    assert tokenizer.decode(trained) == f"d{TAIL}"


def test_a_last_turn_out_of_the_loss_is_not_rendered_at_all(make_tokenizer):
    messages = [user("a"), assistant("b"), user("c"), assistant("d", train=False)]
    assert render_messages(messages, make_tokenizer()) == render_messages(messages[:2], make_tokenizer())


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="<|>"), min_size=1, max_size=20)
ROWS = st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=4), system=st.one_of(st.none(), TEXTS))
def test_masks_equal_those_made_by_hand(rows, system, chatml):
    conversations = []
    for turns in rows:
        messages = [{"role": "system", "content": system}] if system else []
        for asked, answered, trained in turns:
            messages += [user(asked), assistant(answered, train=trained)]
        messages[-1]["train"] = True
        conversations.append({"messages": messages})
    for row, rendered in zip(conversations, render_rows(conversations, chatml), strict=True):
        assert (rendered.input_ids, rendered.labels_mask) == by_hand(row["messages"], chatml)


def test_many_rows_give_what_single_rows_give_in_the_same_order(make_tokenizer):
    tokenizer = make_tokenizer()
    rows = [{"messages": [user(f"{n}?"), assistant("x" * (n % 7 + 1))] * (n % 3 + 1)} for n in range(1100)]
    many = list(render_rows(rows, tokenizer))
    assert len(many) == 1100
    assert many[1050] == render_messages(rows[1050]["messages"], tokenizer)


LOOP = "{% for m in messages %}" + HEAD + "{{ m.role }}\n{{ m.content }}" + TAIL + "\n{% endfor %}"
ASKS = "{% if add_generation_prompt %}" + HEAD + "assistant\n{% endif %}"
TWO_TURNS = [user("a"), assistant("b"), user("c"), assistant("d")]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (LOOP.replace("{{ m.content }}", "{{ m.content if loop.last else m.content | upper }}") + ASKS, "not a prefix"),
        (
            "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}" + HEAD + "assistant\n" + TAIL + "\n"
            "{% else %}" + HEAD + "{{ m.role }}\n{{ m.content }}" + TAIL + "\n{% endif %}{% endfor %}" + ASKS,
            "not a prefix",
        ),
        (LOOP + "{% if add_generation_prompt %}" + HEAD + "model\n{% endif %}", "not a prefix"),
        ("{% for m in messages %}{{ m.content }}{% if not loop.last %}" + TAIL + "{% endif %}{% endfor %}", "never trained"),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "never trained"),
        (
            "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}" + TAIL + "{{ 'bye' }}{% endif %}"
            "{% endfor %}",
            "never trained",
        ),
    ],
    ids=["rewrites", "strips", "other-generation-prompt", "no-stop-token", "no-stop-token-at-all", "text-after-stop"],
)  # fmt: skip
def test_a_template_without_a_border_is_refused(template, message, make_tokenizer):
    with pytest.raises(ModelError, match=message) as error:
        render_messages(TWO_TURNS, make_tokenizer(template))
    assert "row 1" in str(error.value)


def test_a_template_that_ignores_the_generation_prompt_is_refused(make_tokenizer):
    tokenizer = make_tokenizer(LOOP)
    with pytest.raises(ModelError, match="no generation prompt"):
        render_messages(TWO_TURNS, tokenizer)
    with pytest.raises(ModelError, match="no generation prompt"):
        list(
            render_preference(
                [{"prompt": [user("a")], "chosen": [assistant("b")], "rejected": [assistant("c")]}], tokenizer
            )
        )


def test_a_template_that_needs_no_generation_prompt_is_fine(make_tokenizer):
    template = (
        "{% for m in messages %}{{ '[' + m.content + ']' if m.role == 'user' else ' ' + m.content + '"
        + TAIL
        + "' }}{% endfor %}"
    )
    assert render_messages(TWO_TURNS, make_tokenizer(template)).text == f"[a] b{TAIL}[c] d{TAIL}"


def test_rewritten_earlier_turns_do_no_harm_when_only_the_last_is_trained(make_tokenizer):
    template = LOOP.replace("{{ m.content }}", "{{ m.content if m.role == 'user' or loop.last else '...' }}") + ASKS
    messages = [user("a"), assistant("b", train=False), user("c"), assistant("d")]
    assert "b" not in render_messages(messages, make_tokenizer(template)).text.split("assistant")[1]


def test_a_stop_token_that_is_another_one_than_the_turns_end_is_refused(make_tokenizer):
    with pytest.raises(ModelError, match="the stop token <pad> is never trained: the turn ends with"):
        render_messages(TWO_TURNS, make_tokenizer(eos="<pad>"))


def test_an_answer_that_holds_the_stop_token_would_teach_to_stop_too_early(chatml):
    with pytest.raises(DataError, match=r"row 1, field messages\[1\]: the answer holds the stop token"):
        render_messages([user("a"), assistant(f"b{TAIL} c")], chatml)
    with pytest.raises(DataError, match=r"row 1, field rejected: the answer holds the stop token"):
        row = {"prompt": [user("a")], "chosen": [assistant("b")], "rejected": [assistant(f"{TAIL}b{TAIL} c")]}
        list(render_preference([row], chatml))


def test_a_refusing_template_names_row_and_roles(make_tokenizer):
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system please') }}{% endif %}" + LOOP + ASKS
    rows = [{"messages": TWO_TURNS}, {"messages": [{"role": "system", "content": "s"}, *TWO_TURNS]}]
    with pytest.raises(ModelError, match=r"row 2: it refuses turns of system, user.*no system please"):
        list(render_rows(rows, make_tokenizer(template)))


def test_a_tokenizer_without_template_is_refused(make_tokenizer):
    with pytest.raises(ModelError, match="no chat template"):
        render_messages(TWO_TURNS, make_tokenizer(None))


def test_a_row_without_a_trained_turn_is_refused(make_tokenizer):
    with pytest.raises(DataError, match=r"row 1.*no turn is trained"):
        render_messages([user("a"), assistant("b", train=False)], make_tokenizer())


def test_a_template_that_writes_no_prompt_is_refused(make_tokenizer):
    template = "{% for m in messages if m.role == 'assistant' %}{{ m.content }}" + TAIL + "{% endfor %}"
    with pytest.raises(ModelError, match="every token is trained"):
        render_messages([user("a"), assistant("b")], make_tokenizer(template))


def test_a_tokenizer_that_puts_a_space_before_every_piece_is_refused():
    backend = Tokenizer(
        models.WordLevel({"[UNK]": 0, "</s>": 1, "▁a": 2, "▁b": 3, "a": 4, "b": 5, ":": 6, "▁:": 7}, "[UNK]")
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(":", "isolated"), pre_tokenizers.Metaspace(prepend_scheme="first")]
    )
    backend.decoder = decoders.Metaspace(prepend_scheme="never")
    backend.add_special_tokens(["</s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", pad_token="[UNK]")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{{ '</s>' if m.role == 'assistant' else ':' }}{% endfor %}"
    )
    with pytest.raises(ModelError, match="changes the text where an answer begins"):
        render_messages([user("a"), assistant("b")], tokenizer)


def test_answers_of_a_pair_end_with_the_stop_token_and_nothing_after_it(make_tokenizer):
    tokenizer = make_tokenizer()
    row = {
        "prompt": [user("a"), assistant("b"), user("c")],
        "chosen": [assistant("good")],
        "rejected": [assistant("bad one")],
    }
    (pair,) = render_preference([row], tokenizer)
    assert pair.prompt_ids == render_prompt(row["prompt"], tokenizer)
    assert tokenizer.decode(pair.prompt_ids).endswith(f"c{TAIL}\n{HEAD}assistant\n")
    assert tokenizer.decode(pair.chosen_ids) == f"good{TAIL}"
    assert tokenizer.decode(pair.rejected_ids) == f"bad one{TAIL}"


def test_pairs_keep_their_order_over_batches(make_tokenizer):
    tokenizer = make_tokenizer()
    rows = [
        {"prompt": [user(f"{n}")], "chosen": [assistant(f"c{n}")], "rejected": [assistant("r")]} for n in range(600)
    ]
    pairs = list(render_preference(rows, tokenizer))
    assert [tokenizer.decode(pair.chosen_ids) for pair in pairs] == [f"c{n}{TAIL}" for n in range(600)]


def test_a_pair_whose_prompt_is_not_a_prefix_names_row_and_side(make_tokenizer):
    template = LOOP + "{% if add_generation_prompt %}" + HEAD + "model\n{% endif %}"
    row = {"prompt": [user("a")], "chosen": [assistant("b")], "rejected": [assistant("c")]}
    with pytest.raises(ModelError, match=r"row 1, field chosen.*not a prefix"):
        list(render_preference([row], make_tokenizer(template)))


def test_truncation_is_counted_and_rows_without_trained_tokens_are_dropped():
    rows = [
        Rendered([1, 2, 3], [0, 1, 1], ""),
        Rendered([1, 2, 3, 4, 5], [0, 0, 1, 1, 1], ""),
        Rendered([1] * 9, [0] * 8 + [1], ""),
    ]
    counts: dict[str, float] = {}
    kept = list(truncate(rows, 3, counts))
    assert [row.input_ids for row in kept] == [[1, 2, 3], [1, 2, 3]]
    assert kept[1].labels_mask == [0, 0, 1]
    assert counts == {"truncated_rows": 1, "dropped_rows": 1, "truncated_tokens": 2, "truncated_stops": 1}


def test_nothing_is_cut_without_a_limit():
    counts: dict[str, float] = {}
    rows = [Rendered([1] * 9, [0] * 8 + [1], "")]
    assert list(truncate(rows, None, counts)) == rows
    assert not any(counts.values())


def test_truncated_pairs_lose_the_end_of_their_answers():
    pairs = [
        RenderedPair([1, 2], [3, 4], [5]),
        RenderedPair([1, 2], [3, 4, 9], [5, 9]),
        RenderedPair([1, 2], [3, 4, 8, 9], [3, 4, 7, 9]),
        RenderedPair([1, 2, 3, 4], [5, 9], [6, 9]),
    ]
    counts: dict[str, float] = {}
    kept = list(truncate_pairs(pairs, 4, counts))
    assert kept == [pairs[0], RenderedPair([1, 2], [3, 4], [5, 9])]
    assert counts == {"truncated_rows": 1, "dropped_rows": 2, "truncated_tokens": 1, "truncated_stops": 1}
