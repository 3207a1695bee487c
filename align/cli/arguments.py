"""The command line's root, and the arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="align",
    help="Preference alignment from one recipe, with lineage between the stages.",
    epilog="Begin with: align init quickstart, then align run quickstart.yaml",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeFile = Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped recipe.", metavar="RECIPE")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Settings of the recipe to change, e.g. stages.dpo.beta=0.3", metavar="KEY=VALUE"),
]
StoreFolder = Annotated[
    str | None,
    typer.Option("--store", metavar="FOLDER", help="Where artifacts lie (else the recipe's, $ALIGN_STORE, .align)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output and nothing else.")]
Anything = Annotated[str, typer.Argument(help="RECIPE:STEP, a key or its beginning, or a folder.", metavar="REF")]
