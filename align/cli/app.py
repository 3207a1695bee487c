"""The commands of a pipeline, with their arguments and help. What they show is drawn elsewhere in this room."""

from __future__ import annotations

import importlib
import json
from typing import Annotated

import typer

from align.cli import opening
from align.cli.arguments import AsJson, Overrides, RecipeFile, StoreFolder, app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"align {importlib.import_module('align').__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None: ...


@app.command()
def init(
    recipe_name: Annotated[str | None, typer.Argument(help="A shipped recipe; without it they are listed.")] = None,
    dest: Annotated[str | None, typer.Argument(help="File or folder to copy it to.")] = None,
) -> None:
    """Copy a shipped recipe, or list them.

    \b
    Examples:
      align init                          what there is
      align init quickstart               copies it to quickstart.yaml
      align init quickstart mine.yaml
    """
    opening.init(recipe_name, dest)


@app.command(short_help="Check a recipe.")
def validate(recipe: RecipeFile, overrides: Overrides = None) -> None:
    """Check a recipe; every problem is told at once, with its line.

    \b
    Examples:
      align validate quickstart.yaml
      align validate quickstart.yaml stages.dpo.beta=0.3
    """
    from align import words

    found = opening.recipe(recipe, overrides)
    opening.check_prepared(found)
    steps = found.steps()
    entries = f"{len(found.data)} data {'entry' if len(found.data) == 1 else 'entries'}"
    counted = {"stage": len(found.stages), "step": len(steps), **({"gate": len(found.gates)} if found.gates else {})}
    print(f"{found.path} is sound: {', '.join([entries, *(words.plural(n, word) for word, n in counted.items())])}.")
    print(f"See what it would do: align plan {recipe}")


@app.command(short_help="Show which steps would run, and why.")
def plan(recipe: RecipeFile, overrides: Overrides = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """Show which steps would run, and why; nothing is run.

    \b
    Examples:
      align plan quickstart.yaml
      align plan quickstart.yaml stages.dpo.beta=0.3
      align plan quickstart.yaml --json
    """
    from align import asked, lineage, power, words
    from align import plan as plans

    found = opening.recipe(recipe, overrides, quiet=as_json)
    place = lineage.store_at(store, found)
    made = plans.make(found, place)
    asked.check(made)
    can_show = power.of_plan(made, place)
    if as_json:
        print(json.dumps(made.to_json() | {"detectable": [d.to_json() for d in can_show]}))
        return
    from align.cli import plan_table

    plan_table.show(made, list(made.steps))
    for told in can_show:
        print(f"  {told}")
    if made.to_run():
        print(f"  run it: {words.Commands(recipe, tuple(overrides or ()), store).line('run')}")


@app.command(short_help="Carry out a recipe: only what changed runs.")
def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="STEP", help="This step; may be repeated.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="STEP", help="This step and the later ones.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="STEP", help="This step and the earlier ones.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run the chosen steps also where they are sealed.")] = False,
    strict_code: Annotated[
        bool, typer.Option("--strict-code", help="Run again what another version of align's code made.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan of the chosen steps; run nothing.")] = False,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Carry out a recipe: only what is not there yet, or has changed, runs.

    Ctrl-C saves and stops; the same command goes on from there.

    \b
    Examples:
      align run quickstart.yaml
      align run quickstart.yaml stages.dpo.beta=0.3 seed=1
      align run quickstart.yaml --until sft
      align run quickstart.yaml --only dpo --force
    """
    from align.cli import running
    from align.runner import Choice

    choice = Choice(tuple(only or ()), start, until, force, strict_code)
    found = opening.recipe(recipe, overrides, quiet=as_json)
    running.run(found, store, choice, dry_run, as_json)


@app.command(short_help="Show the store, a run, or an artifact.")
def show(
    what: Annotated[
        str | None, typer.Argument(help="RECIPE, RECIPE:STEP, a key or its beginning, or a folder.", metavar="[REF]")
    ] = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show what the store holds, a recipe's last run, or an artifact and what it came from.

    \b
    Examples:
      align show                          the store
      align show quickstart               the last run of a recipe
      align show quickstart:dpo           one artifact, with its lineage
      align show 3f2a9c                   the same by its key
    """
    from align.cli import showing

    showing.show(what, store, as_json)


@app.command(short_help="Talk to a model.")
def chat(
    ref: Annotated[str, typer.Argument(help="RECIPE:STEP, a key, a model folder, or a hub id.", metavar="REF")],
    system: Annotated[str | None, typer.Option(help="A system prompt.")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 always takes the likeliest token.")] = 0.7,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 512,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    store: StoreFolder = None,
) -> None:
    """Talk to a model. Reads lines from the terminal or a pipe.

    \b
    Examples:
      align chat quickstart:dpo
      align chat HuggingFaceTB/SmolLM2-135M-Instruct --system "Answer in one sentence."
      echo "Explain tides." | align chat quickstart:sft --temperature 0
    Commands while talking: /reset begins again, /exit (or Ctrl-D) ends.
    """
    from align.cli import talking

    talking.chat(ref, store, system, {"temperature": temperature, "max_new_tokens": max_new_tokens, "seed": seed})


@app.command(short_help="Write a model as a plain folder.")
def export(
    ref: Annotated[str, typer.Argument(help="RECIPE:STEP, a key, or a folder.", metavar="REF")],
    dest: Annotated[str, typer.Argument(help="The folder to write; it must not exist.", metavar="DIR")],
    store: StoreFolder = None,
) -> None:
    """Write a model as a plain transformers folder; an adapter is merged into its base.

    \b
    Examples:
      align export quickstart:dpo my-model
    """
    from align.cli import talking

    talking.export(ref, dest, store)


@app.command(short_help="Check machine, libraries and network.")
def doctor(store: StoreFolder = None, as_json: AsJson = False) -> None:
    """Check Python, libraries, GPU, disk, and whether the hub and W&B can be reached.

    \b
    Examples:
      align doctor
      align doctor --json
    """
    from align.cli import checking

    code = checking.doctor(store, as_json)
    if code:
        raise typer.Exit(code)


@app.command(short_help="Measure speed against TRL and against the machine.")
def bench(
    work: Annotated[str, typer.Argument(help="sft, reward, dpo, ppo, generate, prepare or dedup.", metavar="WORK")],
    size: Annotated[str, typer.Option(help="tiny, 135m, 360m or 1.5b.")] = "360m",
    peer_path: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder with another TRL to compare with; ppo needs TRL 1.12.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Rows of 2048 tokens, pairs, episodes or completions a step.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Compile our layers.")] = True,
    peer_dtype: Annotated[str, typer.Option(help="The peer's weights: float32 (as ours) or bfloat16.")] = "float32",
    alone: Annotated[bool, typer.Option("--alone", help="Leave the peer out.")] = False,
    rows: Annotated[int, typer.Option(min=100, help="prepare, dedup: chats of about 1 KB.")] = 200_000,
    as_json: AsJson = False,
) -> None:
    """Measure how fast one kind of work is here, beside the same work by TRL (or transformers, for generate).

    Random weights, the same tokens for both, warm-up left out, the median of at least five steps. A figure counts only
    where something was learnt. "of floor" is the time that the machine's peaks allow, over the time taken.

    \b
    Examples:
      align bench sft --size 1.5b
      align bench generate --size 360m --batch 256
      pip install --no-deps --target trl112 trl==1.12.0
      align bench ppo --size 360m --peer-path trl112
      align bench prepare --rows 1000000
      align bench dedup --rows 1000000
    """
    from align.bench import rows as row_bench
    from align.cli import benching, row_benching

    if work in row_bench.WORKS:
        row_benching.run(work, rows, as_json)
        return
    if work == "prepare":
        benching.prepare(rows, as_json)
        return
    benching.run(work, size, peer_path, compiled, batch, peer_dtype, alone, as_json)
