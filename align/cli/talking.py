"""`align chat` and `align export`: the model lives in a child process, so that this one stays light."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from align import lineage, words
from align.artifact import manifest as manifests
from align.errors import ArtifactError, UserError
from align.launch.service import Service
from align.lineage import Reference
from align.sources import HUB_ID

CHILD = "align.answer"


def chat(given: str, folder: str | None, system: str | None, sampling: dict[str, Any]) -> None:
    """Reads lines and answers them until there are no more. Only answers go to standard output."""
    named = named_model(given, folder)
    asked = sys.stdin.isatty()
    with Service(CHILD) as service:
        if sys.stderr.isatty():
            print(f"opening {given} ...", file=sys.stderr, flush=True)
        opened, *_ = list(service.ask({"do": "open", "model": named}))  # all of it, or its end answers the next request
        print(_greeting(given, opened, asked), file=sys.stderr, flush=True)
        start = [{"role": "system", "content": system}] if system else []
        messages = list(start)
        while (line := _read(asked)) is not None:
            if line in ("/exit", "/quit"):
                break
            if line == "/reset":
                messages = list(start)
                print("(a new conversation)", file=sys.stderr)
            elif line.startswith("/"):
                print("there are /reset and /exit", file=sys.stderr)
            elif line:
                messages.append({"role": "user", "content": line})
                answer = _answer(service, messages, sampling, asked)
                messages = [*messages, {"role": "assistant", "content": answer}] if opened["template"] else list(start)


def _greeting(given: str, opened: dict[str, Any], asked: bool) -> str:
    told = f"{given}: {words.short(opened['parameters'])} parameters on {opened['device']}."
    if not opened["template"]:
        told += " It has no chat template: each line is text that it goes on with."
    return told + (" /reset begins again, /exit ends." if asked else "")


def _read(asked: bool) -> str | None:
    if asked:
        import readline  # noqa: F401 - line editing and history for input()

        try:
            return input("\nyou> ").strip()
        except EOFError:
            print()
            return None
    line = sys.stdin.readline()
    return line.strip() if line else None


def _answer(service: Service, messages: list[dict[str, str]], sampling: dict[str, Any], asked: bool) -> str:
    pieces: list[str] = []
    said: dict[str, Any] = {}
    for event in service.ask({"do": "say", "messages": messages, **sampling}):
        if event["event"] == "text":
            piece = printable(event["text"])
            pieces.append(event["text"])
            print(piece, end="", flush=True)
        elif event["event"] == "said":
            said = event
    print(flush=True)
    if asked:
        pace = said["tokens"] / max(said["seconds"], 1e-9)
        cut = "" if said["stopped"] else ", cut off at its longest (--max-new-tokens)"
        print(f"({words.plural(said['tokens'], 'token')}, {pace:.0f} tokens/s{cut})", file=sys.stderr)
    return "".join(pieces)


def printable(text: str) -> str:
    """Without control characters: what a model says must not steer the terminal."""
    return "".join(c for c in text if c in "\n\t" or (c.isprintable() or ord(c) > 0x9F))


def export(given: str, target: str, folder: str | None) -> None:
    """Copies a whole model, or merges an adapter in a child process; the target appears at once or not at all."""
    path = Path(target)
    if path.exists():
        raise UserError(target, "it exists already", "", "name a folder that does not")
    named = named_model(given, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = _whole(given, folder)
    told = _card(given, folder)
    if whole:
        draft = path.with_name(path.name + ".partial")
        shutil.copytree(whole, draft, dirs_exist_ok=True)
        _with_card(draft, told)
        draft.rename(path)
    else:
        if sys.stderr.isatty():
            print(f"merging {given} into its base ...", file=sys.stderr, flush=True)
        shutil.rmtree(path.with_name(path.name + ".partial"), ignore_errors=True)
        with Service(CHILD) as service:
            list(service.ask({"do": "export", "model": named, "folder": str(path.absolute())}))
        _with_card(path, told)
    held = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    about = ", ".join(filter(None, ["" if whole else "adapter merged", "with a model card" if told else ""]))
    print(f"Wrote {path} ({words.size(held)}{f', {about}' if about else ''}).")
    print(f'Load it: transformers.{_loader(path)}.from_pretrained("{path}")')


def _loader(folder: Path) -> str:
    """The class of transformers that opens a model; a reward model is a classifier with one label."""
    config = folder / "config.json"
    made = json.loads(config.read_text()).get("architectures") if config.is_file() else None
    return "AutoModelForSequenceClassification" if "Classification" in str(made) else "AutoModelForCausalLM"


def _card(given: str, folder: str | None) -> str | None:
    """The model card of a sealed artifact; a model from outside has its own or none."""
    if _plain_folder(given) or _is_hub_id(given):
        return None
    from align.report.card import card

    found = lineage.resolve(given, folder)
    return card(found.sealed, found.store)


def _with_card(folder: Path, told: str | None) -> None:
    if told and not (folder / "README.md").exists():
        (folder / "README.md").write_text(told, encoding="utf-8")


def _whole(given: str, folder: str | None) -> Path | None:
    """The folder of a model that needs no merging, checked against its hashes; None for an adapter or a hub id."""
    plain = _plain_folder(given)
    if plain:
        return None if (plain / "adapter_config.json").is_file() else plain
    if _is_hub_id(given):
        return None
    found = lineage.resolve(given, folder)
    if (found.sealed.path / "model" / "adapter_config.json").is_file():
        return None
    manifests.verify(found.sealed.path, found.sealed.manifest)
    return found.sealed.path / "model"


def named_model(given: str, folder: str | None) -> dict[str, Any]:
    """A model for the child: a sealed artifact by key, a folder, or a hub id."""
    if plain := _plain_folder(given):
        return {"name": given, "folder": str(plain.absolute())}
    if _is_hub_id(given):
        return {"name": given, "hub": given}
    return _sealed(given, lineage.resolve(given, folder))


def _plain_folder(given: str) -> Path | None:
    """A folder that is a model and no part of a sealed artifact."""
    path = Path(given).expanduser()
    if not path.is_dir() or (path / manifests.NAME).is_file() or (path.parent / manifests.NAME).is_file():
        return None
    if not any((path / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise ArtifactError(
            given, "the folder holds neither a model nor a sealed artifact", "", "name the one that does"
        )
    return path


def _is_hub_id(given: str) -> bool:
    return given.count("/") == 1 and bool(HUB_ID.fullmatch(given)) and not Path(given).expanduser().exists()


def _sealed(given: str, found: Reference) -> dict[str, Any]:
    manifest = found.sealed.manifest
    if not (found.sealed.path / "model").is_dir():
        raise ArtifactError(
            given, f"it is made by {manifest.kind} and holds no model", "", f"its files lie in {found.sealed.path}"
        )
    return {"name": manifest.name, "kind": manifest.kind, "key": manifest.key, "store": str(found.store.root)}
