"""OpenAssistant's trees of messages (Köpf et al. 2023, 2304.07327), whole in one row or one message a row.

A node is {text, role, rank?, deleted?, replies: [node]}; of sibling answers, rank 0 is the best. A deleted message takes
what hangs on it along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from align.data.comparisons import Judged, pairs_of, ranking_of
from align.data.conversations import ROLES, CannotConvert, Message
from align.data.files import RawRow
from align.data.forms import Made, Raw
from align.errors import DataError

Node = Mapping[str, Any]
Tree = Callable[[Raw], Node]


def whole(raw: Raw) -> Node:
    """{"message_tree_id": ..., "prompt": {"text", "role", "replies": [...]}}."""
    return raw["prompt"]


def joined(raw: Raw) -> Node:
    """The tree of messages that `gather` brought together under `messages_of_tree`."""
    rows = raw["messages_of_tree"]
    nodes = {row["message_id"]: {**row, "replies": []} for row in rows}
    roots = []
    for node in nodes.values():
        parent = node.get("parent_id")
        if parent is None:
            roots.append(node)
        elif parent in nodes:
            nodes[parent]["replies"].append(node)
        else:
            raise CannotConvert("parent_id", f"names {parent}, which is not in the row's tree", "parent_missing")
    if len(roots) != 1:
        raise CannotConvert("parent_id", f"is null in {len(roots)} messages of one tree, not in one", "parent_roots")
    return roots[0]


def gather(raw_rows: Iterator[RawRow]) -> Iterator[RawRow]:
    """One row a tree, of rows that are one message each. Raises DataError where a tree's messages do not stand together.

    Holds one tree at a time, and 8 bytes for each tree done.
    """
    done: set[int] = set()
    waiting: list[RawRow] = []
    for raw in raw_rows:
        tree = raw.values.get("message_tree_id")
        if waiting and tree != waiting[0].values.get("message_tree_id"):
            yield _together(waiting)
            done.add(hash(waiting[0].values.get("message_tree_id")))
            waiting = []
        if not waiting and hash(tree) in done:
            raise DataError(
                f"{raw.file}, row {raw.number:,}", f"it belongs to the tree {tree}, which ended further up",
                "The messages of a tree one after another", "Sort the rows by message_tree_id.",
            )  # fmt: skip
        waiting.append(raw)
    if waiting:
        yield _together(waiting)


def _together(rows: list[RawRow]) -> RawRow:
    values = {**rows[0].values, "messages_of_tree": [row.values for row in rows]}
    return RawRow(rows[0].file, rows[0].number, values, len(rows))


def is_tree(raw: Raw) -> bool:
    return isinstance(raw["prompt"], Mapping) and "replies" in raw["prompt"]


def threads(tree: Tree) -> Callable[[Raw], Made]:
    """Conversations along the best answers, one for each follow-up; an answer that several share is trained in the first."""

    def rows(raw: Raw) -> Made:
        found = [messages for messages in _threads(tree(raw), []) if messages]
        if not found:
            raise CannotConvert("replies", "holds no answer", "replies_missing")
        seen: set[int] = set()
        return Made([{"messages": [_trained_once(m, seen) for m in messages]} for messages in found])

    return rows


def prompts(tree: Tree) -> Callable[[Raw], Made]:
    """Every question along the best answers, with what was said before it."""
    return lambda raw: Made([{"prompt": _plain(said)} for said, _ in _questions(tree(raw), [])])


def pairs(tree: Tree) -> Callable[[Raw], Made]:
    """Every two ranked answers to one message."""

    def rows(raw: Raw) -> Made:
        made = [pairs_of(judged) for judged in _judged(tree(raw))]
        if not made:
            raise CannotConvert("replies", "holds no two ranked answers", "replies_ranks")
        return Made([row for each in made for row in each.rows], sum(each.ties for each in made))

    return rows


def rankings(tree: Tree) -> Callable[[Raw], Made]:
    """The ranked answers to each message."""

    def rows(raw: Raw) -> Made:
        found = [ranking_of(judged) for judged in _judged(tree(raw))]
        if not found:
            raise CannotConvert("replies", "holds no two ranked answers", "replies_ranks")
        return Made(found)

    return rows


def _message(node: Any) -> Message:
    role = ROLES.get(str(node.get("role")).lower()) if isinstance(node, Mapping) else None
    if role not in ("user", "assistant") or not isinstance(node.get("text"), str):
        raise CannotConvert("replies", "holds a message without a text or a known role", "replies_type")
    return {"role": role, "content": node["text"]}


def _replies(node: Node, best_first: bool = True) -> list[Node]:
    """Those that were not deleted, the best first, unranked ones last in the order they stand."""
    found = [reply for reply in node.get("replies") or [] if not reply.get("deleted")]
    return sorted(found, key=lambda reply: (reply.get("rank") is None, reply.get("rank") or 0)) if best_first else found


def _questions(node: Node, before: list[Message]) -> Iterator[tuple[list[Message], Node]]:
    """The user's messages along the best answers, each with all that was said up to it."""
    said = [*before, _message(node)]
    if said[-1]["role"] == "user":
        yield said, node
        following = _replies(node)[:1]
    else:
        following = _replies(node)
    for reply in following:
        yield from _questions(reply, said)


def _threads(node: Node, before: list[Message]) -> Iterator[list[Message]]:
    said = [*before, _message(node)]
    replies = _replies(node)
    if said[-1]["role"] == "user":
        yield from _threads(replies[0], said) if replies else [before]
        return
    answered = [thread for reply in replies if _replies(reply) for thread in _threads(reply, said)]
    yield from answered or [said]


def _judged(node: Node, before: list[Message] | None = None) -> Iterator[Judged]:
    """Wherever two answers to one message are ranked, in the whole tree."""
    said = [*(before or []), _message(node)]
    ranked = [reply for reply in _replies(node) if reply.get("rank") is not None]
    if said[-1]["role"] == "user" and len(ranked) > 1:
        yield Judged(_plain(said), [[_message(reply)] for reply in ranked], [-float(r["rank"]) for r in ranked])
    for reply in _replies(node):
        yield from _judged(reply, said)


def _trained_once(message: Message, seen: set[int]) -> Message:
    """Threads share message objects, which are known by their identity as long as the tree is held."""
    if message["role"] != "assistant" or id(message) not in seen:
        seen.add(id(message))
        return message
    return {**message, "train": False}


def _plain(messages: list[Message]) -> list[Message]:
    return list(messages)
