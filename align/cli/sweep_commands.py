"""`align sweep`: its arguments and help."""

from __future__ import annotations

from typing import Annotated

import typer

from align.cli.arguments import AsJson, RecipeFile, StoreFolder, app

Varied = Annotated[
    list[str],
    typer.Argument(help="Settings; one with several values, separated by commas, is varied.", metavar="KEY=A,B,..."),
]


@app.command(short_help="Run a recipe with some of its settings varied.")
def sweep(
    recipe: RecipeFile,
    settings: Varied,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the variants and what they share; run nothing.")
    ] = False,
    best_of: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Also best-of-n of the reference, in frontier suites.")
    ] = None,
    frontier: Annotated[
        bool, typer.Option("--frontier", help="Draw reward against KL of all points: NAME-SUITE.svg.")
    ] = False,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Run every combination of the values given, and show what was measured side by side.

    What variants share is made once. A variant that fails is told at the end; the others go on. Each variant can be opened
    under its own name: NAME-sweep-1:STEP.

    \b
    Examples:
      align sweep quickstart stages.dpo.beta=0.05,0.1,0.3
      align sweep quickstart stages.ppo.kl_coef=0.01,0.05,0.2 stages.dpo.beta=0.1,0.3
      align sweep quickstart seed=0,1,2 --dry-run
      align sweep quickstart stages.ppo.kl_coef=0.01,0.1,1 --best-of 1,2,4,8,16 --frontier
    """
    from align.cli import sweeping

    sweeping.run(recipe, settings, store, dry_run, as_json, best_of, frontier)
