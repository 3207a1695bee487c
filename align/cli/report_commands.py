"""Commands that show to people what a recipe did: the report, votes cast in it, and model cards."""

from __future__ import annotations

from typing import Annotated

import typer

from align.cli.arguments import Anything, AsJson, Overrides, RecipeFile, StoreFolder, app


@app.command(short_help="Write one HTML file with everything a recipe did.")
def report(
    recipe: RecipeFile,
    overrides: Overrides = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="The file to write (else NAME-report.html).")
    ] = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Write one HTML file with everything a recipe did: results, pipeline, curves, data, lineage, commands.

    It works from disk without a network, and also while some steps are still to run.

    \b
    Examples:
      align report quickstart.yaml
      align report quickstart.yaml stages.dpo.beta=0.3 -o beta.html
    """
    from align.cli import reporting

    reporting.report(recipe, overrides, output, store, as_json)


@app.command(short_help="Count votes cast in a report, and make preference data of them.")
def votes(
    file: Annotated[str, typer.Argument(help="Votes exported from a report's blind vote mode.", metavar="FILE")],
    recipe: Annotated[
        str | None, typer.Argument(help="The recipe they are on: each vote is checked against it.", metavar="[RECIPE]")
    ] = None,
    overrides: Overrides = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The preference rows to write (else FILE.preference.jsonl)."
        ),
    ] = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Count votes cast blind in a report: win rates with 95 % intervals, and preference rows to train on.

    The rows are written beside the votes and sealed in the store; a recipe that names the file reuses the sealed rows.

    \b
    Examples:
      align votes quickstart-probes-votes.jsonl quickstart.yaml
      align votes quickstart-probes-votes.jsonl
    """
    from align.cli import voting

    voting.votes(file, recipe, overrides, output, store, as_json)


@app.command(short_help="Write a checkpoint's model card.")
def card(
    ref: Anything,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="The file to write (else standard output).")
    ] = None,
    store: StoreFolder = None,
) -> None:
    """Write a checkpoint's model card: what it is, what it was measured at, what it came from. Markdown, as hubs read it.

    align export writes the same card into the folder as README.md.

    \b
    Examples:
      align card quickstart:dpo
      align card quickstart:dpo -o README.md
    """
    from align.cli import reporting

    reporting.card(ref, output, store)
