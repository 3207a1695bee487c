"""Commands that show a recipe to people: the report."""

from __future__ import annotations

from typing import Annotated

import typer

from align.cli.arguments import AsJson, Overrides, RecipeFile, StoreFolder, app


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
