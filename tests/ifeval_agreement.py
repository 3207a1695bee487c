"""How far our checks agree with the published ones, which lm-eval ships. Run by hand, since lm-eval is no dependency:

    pip install --no-deps --target FOLDER lm-eval immutabledict nltk defusedxml joblib
    python -m tests.ifeval_agreement --published FOLDER --prompts ifeval_input_data.jsonl [--json]

Four responses to every prompt: empty, random, one that is made to comply, and one that just fails one instruction. The
published checkers want nltk's sentence model downloaded: they get the same parameters from the library that we use.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import types
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from align.evals.instructions.following import loose, strict
from align.evals.instructions.registry import instruction
from tests.instruction_responses import compliant, near_miss
from tests.instruction_texts import noise

KINDS = {
    "empty": lambda asked, rng: rng.choice(("", " ", "\n\n")),
    "random": lambda asked, rng: noise(rng),
    "compliant": compliant,
    "near-miss": near_miss,
}


def published(folder: Path) -> Any:
    """lm-eval's own scoring functions, with nltk's Punkt given its parameters instead of a download."""
    sys.path.append(str(folder))
    import langdetect
    import nltk
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from punkt import load_model

    ours, parameters = load_model("english"), PunktParameters()
    for name in ("abbrev_types", "collocations", "sent_starters"):
        getattr(parameters, name).update(getattr(ours, name))
    parameters.ortho_context.update(ours.ortho_context)
    sentences = PunktSentenceTokenizer(parameters)
    nltk.data.find = lambda *args, **more: None
    nltk.tokenize._get_punkt_tokenizer = lambda language: sentences  # pyright: ignore
    langdetect.DetectorFactory.seed = 0
    for name in ("lm_eval", "lm_eval.tasks"):  # without what their own __init__ imports
        package = types.ModuleType(name)
        package.__path__ = [str(folder / name.replace(".", "/"))]
        sys.modules[name] = package
    from lm_eval.tasks.ifeval import instructions_util, utils  # pyright: ignore

    instructions_util._get_sentence_tokenizer = lambda: sentences
    return utils


def read(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line) for line in text.decode().splitlines()]


def judge_all(rows: list[dict[str, Any]], theirs: Any, seed: int) -> Iterable[dict[str, Any]]:
    """One verdict of ours beside theirs for every response, instruction and mode."""
    rng = random.Random(seed)
    for row in rows:
        asked = list(zip(row["instruction_id_list"], row["kwargs"], strict=True))
        checks = [instruction(name, arguments) for name, arguments in asked]
        for kind, write in KINDS.items():
            response = write(asked, rng)
            doc = theirs.InputExample(row["key"], row["instruction_id_list"], row["prompt"], row["kwargs"])
            for mode, our, their in (
                ("strict", strict, theirs.test_instruction_following_strict(doc, response)),
                ("loose", loose, theirs.test_instruction_following_loose(doc, response)),
            ):
                found = [our(check, response) for check in checks]
                verdicts = zip(row["instruction_id_list"], found, their.follow_instruction_list, strict=True)
                yield {
                    "key": row["key"], "kind": kind, "mode": mode, "response": response, "verdicts": list(verdicts),
                    "prompt": (all(found), their.follow_all_instructions),
                }  # fmt: skip


def tables(judged: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Agreement by kind and type, and how the two verdicts fall (theirs, ours) on each kind."""
    confusion: dict[str, Counter[str]] = defaultdict(Counter)
    by_type: dict[str, Counter[str]] = defaultdict(Counter)
    apart = []
    for one in judged:
        for name, ours, theirs in one["verdicts"]:
            cell = f"{'followed' if theirs else 'not'}/{'followed' if ours else 'not'}"
            confusion[f"{one['kind']}, {one['mode']}, instruction"][cell] += 1
            by_type[f"{name} {one['kind']}"][cell] += 1
            if ours != theirs:
                apart.append(
                    {
                        "key": one["key"],
                        "kind": one["kind"],
                        "mode": one["mode"],
                        "id": name,
                        "response": one["response"],
                    }
                )
        ours, theirs = one["prompt"]
        cell = f"{'followed' if theirs else 'not'}/{'followed' if ours else 'not'}"
        confusion[f"{one['kind']}, {one['mode']}, prompt"][cell] += 1
    return {"confusion": confusion, "by_type": by_type, "apart": apart}


def share(cells: Counter[str]) -> float:
    return sum(count for cell, count in cells.items() if len(set(cell.split("/"))) == 1) / cells.total()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = tables(judge_all(read(asked.prompts), published(asked.published.resolve()), asked.seed))
    if asked.json:
        print(json.dumps(found))
        return
    cells = ("followed/followed", "not/not", "followed/not", "not/followed")
    print(f"{'theirs/ours':<44}" + "".join(f"{cell:>19}" for cell in cells) + "   agreement")
    for part in ("confusion", "by_type"):
        for name, counts in sorted(found[part].items()):
            print(f"{name:<44}" + "".join(f"{counts[cell]:>19,}" for cell in cells) + f"{share(counts):>12.2%}")
    total: Counter[str] = sum((c for n, c in found["confusion"].items() if n.endswith("instruction")), Counter())
    print(f"all verdicts on instructions: {share(total):.3%} of {total.total():,}")
    for one in found["apart"]:
        print(json.dumps({**one, "response": one["response"][-300:]}, ensure_ascii=False))


if __name__ == "__main__":
    main()
