"""`align inspect`, with its arguments and help."""

from __future__ import annotations

from typing import Annotated

import typer

from align.cli.arguments import AsJson, StoreFolder, app


@app.command(short_help="Look at data as a model would see it.")
def inspect(
    source: Annotated[
        str, typer.Argument(help="A file, a folder, a hub id, or RECIPE:DATA for a recipe's entry.", metavar="SOURCE")
    ],
    model: Annotated[
        str | None, typer.Option("--model", metavar="REF", help="RECIPE:STEP, a key, a model folder or a hub id.")
    ] = None,
    as_type: Annotated[
        str | None, typer.Option("--as", metavar="TYPE", help="The row type; found out when not given.")
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--columns", metavar="OURS=THEIRS", help="A column's other name; repeatable.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="SPLIT, or CONFIGURATION/SPLIT of a hub data set.")] = None,
    max_length: Annotated[
        int | None, typer.Option("--max-length", min=2, help="What would be cut at so many tokens.")
    ] = None,
    chat_template: Annotated[
        str | None, typer.Option("--chat-template", help="`chatml`, or a Jinja file, for a model without a template.")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="Rows to show.")] = 3,
    limit: Annotated[int | None, typer.Option(min=1, help="Read only so many rows.")] = None,
    problems: Annotated[bool, typer.Option("--problems", help="Every kind of broken row, with examples.")] = False,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Look at data before training on it: format, columns, broken rows, lengths, and rows as a model would see them.

    Nothing is written. With RECIPE:DATA the entry's settings hold, and model and max_length are those of the stage
    that reads it.

    \b
    Examples:
      align inspect pairs.jsonl.gz
      align inspect pairs.jsonl.gz --problems
      align inspect chat.parquet --model HuggingFaceTB/SmolLM2-135M-Instruct --max-length 1024
      align inspect quickstart:pairs
    """
    from align.cli import inspecting

    wanted = inspecting.Wanted(
        source, model, as_type, inspecting.columns_of(columns or []), split, max_length, chat_template, samples, limit, store
    )  # fmt: skip
    inspecting.inspect(wanted, problems, as_json)
