"""Commands that judge what was made: gates, and one run or artifact against another."""

from __future__ import annotations

from typing import Annotated

import typer

from align.cli.arguments import AsJson, Overrides, RecipeFile, StoreFolder, app


@app.command(short_help="Judge a recipe's gates.")
def gate(
    recipe: RecipeFile,
    overrides: Overrides = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Also write JUnit XML.")] = None,
    markdown: Annotated[str | None, typer.Option(metavar="FILE", help="Also write a Markdown summary.")] = None,
    save_baseline: Annotated[
        str | None, typer.Option(metavar="FILE", help="Keep every figure, for later runs to be held against.")
    ] = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Judge a recipe's gates from what is sealed; nothing is run.

    Exit code 0 when all pass, 3 when one fails or is inconclusive (unless it ends in "or inconclusive"), 2 when one
    cannot be judged.

    Of several seeds the mean is judged, by an interval that knows how seeds and prompts vary: a seed that was lucky
    passes nothing. Train them first: align sweep RECIPE seed=0,1,2.

    \b
    Examples:
      align gate quickstart.yaml
      align gate quickstart.yaml --junit gates.xml --markdown "$GITHUB_STEP_SUMMARY"
      align gate quickstart.yaml --save-baseline baseline.json
      align gate quickstart.yaml seed=0,1,2                 what several seeds say together
    """
    from align.cli import gating

    files = gating.Files(junit, markdown, save_baseline)
    gating.gate(recipe, overrides or [], store, files, as_json)


@app.command(short_help="Show how two runs or artifacts differ.")
def compare(
    first: Annotated[str, typer.Argument(help="A recipe, RECIPE:STEP, a key, or a folder.", metavar="A")],
    rest: Annotated[
        list[str], typer.Argument(help="The other; or settings that change A, or B.", metavar="B|KEY=VALUE...")
    ],
    samples: Annotated[int, typer.Option(min=0, help="Answers shown of each suite, those that differ most.")] = 3,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show how two runs of a recipe, or two artifacts, differ: settings, data, what was measured, and what was said.

    Differences are B less A, paired where both answered the same rows.

    \b
    Examples:
      align compare quickstart:sft quickstart:dpo          two models
      align compare quickstart.yaml stages.dpo.beta=0.3    as written, and changed
      align compare quickstart quickstart-sweep-2          two recipes' last runs
      align compare 3f2a9c 81d0be --json
    """
    from align.cli import versing

    versing.show(first, rest, store, samples, as_json)
