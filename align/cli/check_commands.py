"""`align check`, with its arguments and help."""

from __future__ import annotations

from typing import Annotated

import typer

from align.cli.arguments import AsJson, Overrides, RecipeFile, StoreFolder, app


@app.command(short_help="Try a recipe in small before it runs.")
def check(
    recipe: RecipeFile,
    overrides: Overrides = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="FILE", help="Requests that the model is wanted for; told how far training is."
        ),
    ] = None,
    static: Annotated[
        bool, typer.Option("--static", help="Data, tokenizer and template only: no model is opened, nothing is tried.")
    ] = False,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Try a recipe in small before it runs: data, tokenizer, base model, one trial of every stage, time and disk.

    Long sources are read for ten seconds each. Nothing is kept. Exit code 2 where there is a problem.

    \b
    Examples:
      align check quickstart.yaml
      align check quickstart.yaml stages.sft.max_length=128
      align check quickstart.yaml --static
      align check mine.yaml --target wanted.jsonl --json
    """
    from align.cli import opening, preflighting

    code = preflighting.check(opening.recipe(recipe, overrides, quiet=as_json), recipe, target, static, store, as_json)
    if code:
        raise typer.Exit(code)
