"""What `align inspect` prints: one page, narrow enough for 80 columns, readable without colour."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from align import words
from align.cli import terminal
from align.cli.talking import printable

MARKS = {
    "ok": ("ok", "green"),
    "note": ("note", "dim"),
    "warning": ("warning", "yellow"),
    "problem": ("PROBLEM", "bold red"),
}
OPEN, CLOSE = "⟦", "⟧"  # around what is trained
HEAD, TAIL = 360, 160  # characters of a long piece that are shown from either end
EXAMPLES = 3  # broken rows of a kind, with --problems


def show(report: dict[str, Any], given: str, stage: str, problems: bool) -> None:
    console = terminal.console()
    model = report.get("model")
    _head(console, report, given, stage)
    _columns(console, report)
    _lengths(console, report)
    if model:
        _tokens(console, model)
    _findings(console, [*report["findings"], *(model or {}).get("findings", ())])
    _broken(console, report, problems)
    _samples(console, report, model)
    _next(console, report, given, problems)


def _head(console: Console, report: dict[str, Any], given: str, stage: str) -> None:
    rows = report["rows"]
    console.print(Text.assemble((given, "bold"), f"  detected: {report['detected']} ({report['as']} rows)"))
    if report["columns_to_say"]:
        names = ", ".join(f"{ours}: {theirs}" for ours, theirs in report["columns_to_say"].items())
        console.print(f"  read with columns: {{{names}}}")
    if stage:
        console.print(f"  read by the stage {stage}; its settings hold here")
    dropped = f", {words.plural(rows['dropped'], 'row')} broken" if rows["dropped"] else ", none broken"
    whole = "" if report["whole"] else f" (of about {rows['expected']:,}; the rest was not read)"
    console.print(f"  {words.plural(rows['read'], 'row')} read{whole}, {rows['kept']:,} kept{dropped}\n")


def _columns(console: Console, report: dict[str, Any]) -> None:
    table = terminal.table("column", "rows", "holds", "", "for example", right=("rows",), wraps=("for example",))
    for column in report["columns"]:
        most = max(column["kinds"].values())
        kinds = ", ".join(kind if count == most else f"{kind} ({count:,})" for kind, count in column["kinds"].items())
        used = Text("", "dim") if column["used"] else Text("not used", "yellow")
        table.add_row(
            "", printable(column["name"]), f"{column['rows']:,}", kinds, used, Text(printable(column["example"]), "dim")
        )
    console.print(table)
    console.print()


def _lengths(console: Console, report: dict[str, Any]) -> None:
    tokens = (report.get("model") or {}).get("lengths", {})
    shown = ("p5", "p50", "p95", "p99", "max")
    table = terminal.table("length", "in", *shown, right=shown)
    for unit, parts in (*reversed(report["lengths"].items()), ("tokens", tokens)):
        for name, numbers in parts.items():
            if numbers:
                table.add_row("", name, unit, *(f"{numbers[p]:,.0f}" for p in shown))
    if not table.row_count:
        return
    console.print(table)
    if report["rows"]["kept"] > report["sampled"]:
        console.print(Text(f"  of a random {report['sampled']:,} of them", "dim"))
    console.print()


def _tokens(console: Console, model: dict[str, Any]) -> None:
    """The stop token's proof, and what truncation takes."""
    context = f", reads {model['context']:,} tokens at most" if model["context"] else ""
    console.print(
        Text.assemble(
            ("seen by ", ""), (model["name"], "bold"), f"  {model['vocabulary']:,} tokens in its vocabulary{context}"
        )
    )
    if stop := model.get("stop"):
        _stop(console, stop, model["rendered"])
    if cut := model.get("truncation"):
        _cut(console, cut)
    console.print()


def _stop(console: Console, stop: dict[str, Any], rows: int) -> None:
    token = f"{stop['token']} (id {stop['id']})"
    if not stop["answers"]:
        console.print(f"  stop token   {token}: nothing is trained in these rows, they only ask")
        return
    style = "green" if stop["trained_stops"] == stop["answers"] else "bold red"
    stops = stop["id"] in stop["generation"] or not stop["generation"]
    how = "generation stops on it" if stops else "stages add it to what generation stops on"
    proof = f"{token} is trained at the end of {stop['trained_stops']:,} of {stop['answers']:,} answers"
    said = Text.assemble("stop token   ", (proof, style), f" of {words.plural(rows, 'row')}; {how}")
    console.print(Padding(said, (0, 0, 0, 2), expand=False))


def _cut(console: Console, cut: dict[str, Any]) -> None:
    whose = "the model's longest" if cut["from_model"] else "max_length"
    if not cut["over"]:
        console.print(
            f"  truncation   none: all of {words.plural(cut['rows'], 'row')} fit {whose} {cut['max_length']:,}"
        )
        return
    share = cut["over"] / cut["rows"]
    lost = cut["tokens_lost"] / max(1, cut["tokens"])
    style = "yellow" if share < 0.01 else "bold red"
    said = (
        f"{cut['over']:,} of {cut['rows']:,} rows ({share:.1%}) are over {whose} {cut['max_length']:,}: {cut['cut']:,} cut at "
        f"their end, {cut['dropped']:,} dropped, {cut['stops_lost']:,} stop tokens and {lost:.1%} of all tokens lost"
    )
    console.print(Padding(Text(f"truncation   {said}", style), (0, 0, 0, 2), expand=False))
    if example := cut.get("example"):
        gone = printable(" ".join(example["lost"].split()))
        what = "trained text" if example["trained"] else "text that is not trained"
        whole = f"row {example['row']:,} ({example['field']}, {example['tokens']:,} tokens)"
        said = Text(f"{whole} would lose {what}: {gone} ...", "dim")
        console.print(Padding(said, (0, 0, 0, 15), expand=False))


def _findings(console: Console, findings: list[dict[str, Any]]) -> None:
    if not findings:
        return
    table = terminal.table("", "about", "found", wraps=("found",))
    for finding in findings:
        mark, style = MARKS[finding["state"]]
        table.add_row("", Text(mark, style), finding["subject"], printable(finding["found"]))
        if finding["remedy"]:
            table.add_row("", "", "", Text(finding["remedy"], "dim"))
    console.print(table)
    console.print()


def _broken(console: Console, report: dict[str, Any], problems: bool) -> None:
    if not report["problems"]:
        if problems:
            console.print("no row is broken\n")
        return
    console.print(Text("broken rows", "bold"))
    for problem in report["problems"]:
        rows = ", ".join(f"{e['row']:,}" for e in problem["examples"])
        more = " ..." if problem["rows"] > len(problem["examples"]) else ""
        console.print(
            Padding(
                f"{words.plural(problem['rows'], 'row')}  {problem['reason']}  row {rows}{more}",
                (0, 0, 0, 2),
                expand=False,
            )
        )
        for example in problem["examples"][: EXAMPLES if problems else 1]:
            console.print(
                Padding(f"row {example['row']:,}: {printable(example['message'])}", (0, 0, 0, 4), expand=False)
            )
            if problems:
                console.print(Padding(Text(printable(example["text"]), "dim"), (0, 0, 0, 6), expand=False))
    console.print()


def _samples(console: Console, report: dict[str, Any], model: dict[str, Any] | None) -> None:
    if model and model.get("samples"):
        console.print(
            Text.assemble("what is trained stands between ", (OPEN, "bold green"), " and ", (CLOSE, "bold green"),
                          "; special tokens are written out: ", (model["stop"]["token"], "cyan"))
        )  # fmt: skip
        for sample in model["samples"]:
            for side in sample["sides"]:
                console.print(
                    Text(f"\nrow {sample['row']:,}, {side['field']}, {words.plural(side['tokens'], 'token')}", "dim")
                )
                console.print(Padding(_pieces(side["pieces"]), (0, 0, 0, 2), expand=False))
    else:
        for sample in report["samples"]:
            console.print(Text(f"row {sample['row']:,}", "dim"))
            console.print(Padding(_turns(sample["values"]), (0, 0, 1, 2), expand=False))
    console.print()


def _pieces(pieces: list[dict[str, Any]]) -> Text:
    drawn, trained = Text(), False
    for piece in pieces:
        if piece["trained"] != trained:
            drawn.append(OPEN if piece["trained"] else CLOSE, "bold green")
            trained = piece["trained"]
        style = "cyan" if piece["special"] else "green" if piece["trained"] else ""
        drawn.append(_short(piece["text"]), style)
    if trained:
        drawn.append(CLOSE, "bold green")
    return drawn


def _turns(row: dict[str, Any]) -> Text:
    """A standard row without a model: every field, every turn with its role."""
    drawn = Text()
    for name, value in row.items():
        turns = value if isinstance(value, list) and value and isinstance(value[0], dict) else None
        if turns is None:
            drawn.append(f"{name}: ", "bold")
            drawn.append(_short(str(value)) + "\n")
            continue
        for turn in turns:
            head = turn["role"] if name in ("messages", "prompt") else name
            aside = " (not trained)" if turn.get("train") is False else ""
            drawn.append(f"{head}{aside}: ", "bold")
            drawn.append(_short(str(turn["content"])) + "\n")
    drawn.rstrip()
    return drawn


def _short(text: str) -> str:
    text = printable(text)
    if len(text) <= HEAD + TAIL + 40:
        return text
    return f"{text[:HEAD]} ... {len(text) - HEAD - TAIL:,} characters ... {text[-TAIL:]}"


def _next(console: Console, report: dict[str, Any], given: str, problems: bool) -> None:
    if report["rows"]["dropped"] and not problems:
        console.print(f"see more of the broken rows: align inspect {given} --problems")
    elif not report.get("model"):
        console.print(f"see it as a model would: align inspect {given} --model RECIPE:STEP, FOLDER or HUB_ID")
