"""The steps that make the embedded study's fixture: a world, pretrained models, a teacher.

Each takes a job with `out`, `params`, `inputs` and `progress`; the study wires them. Their
parameters come from `PocketScale.world_params`, `pretrain_params` and `tune_params`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.pocket.scale import Shape, Tuning, WorldScale
from veneer.records import Prompt, write_rows
from veneer.steps import Job

if TYPE_CHECKING:
    from veneer.pocket.world import World

FILES = {
    "nq": "nq.jsonl",
    "nq_shots": "nq_shots.jsonl",
    "nq_validation": "nq_validation.jsonl",
    "mmlu_test": "mmlu_test.jsonl",
    "mmlu_dev": "mmlu_dev.jsonl",
    "mmlu_validation": "mmlu_validation.jsonl",
    "humaneval": "humaneval.jsonl",
    "humaneval_validation": "humaneval_validation.jsonl",
    "queries": "queries.jsonl",
    "prompts": "prompts.jsonl",
    "prompts_validation": "prompts_validation.jsonl",
    "toxicity": "toxicity.jsonl",
    "toxicity_validation": "toxicity_validation.jsonl",
    "insults": "toxic_words.txt",
    "seeds": "seeds.jsonl",
    "eval_text": "eval_text.jsonl",
    "replay": "replay.jsonl",
    "facts": "facts.json",
    "blocks": "blocks.npy",
    "tokenizer": "tokenizer",
}
CONTEXT = 512


def files(world_dir: Path) -> dict[str, Path]:
    """The data files of a world folder by what they are."""
    return {key: world_dir / name for key, name in FILES.items()}


def make_world(job: Job) -> None:
    """Write a world: tokenizer, pretraining blocks, benchmark data, queries and prompts.

    Params: `seed`, `world` (a WorldScale). The folder's files are named by `files`.
    """
    import numpy

    from veneer.pocket.corpus import pretraining_blocks, replay_texts, said_in_tuning
    from veneer.pocket.exams import exams
    from veneer.pocket.tokens import tokenizer
    from veneer.pocket.world import build_world

    scale = WorldScale.model_validate(job.params["world"])
    world = build_world(job.params["seed"], scale)
    job.progress(0, 4, "world")
    for name, rows in exams(world, scale).items():
        _write_json(job.out / name, rows)
    asked = _write_prompts(job.out, world, scale)
    job.progress(1, 4, "corpus")
    blocks, words = pretraining_blocks(world, scale, [*asked, *said_in_tuning(world)])
    numpy.save(job.out / FILES["blocks"], blocks)
    job.progress(3, 4, "replay")
    _write_json(job.out / FILES["replay"], [{"text": text} for text in replay_texts(world, scale)])
    tokenizer(words, CONTEXT).save_pretrained(str(job.out / FILES["tokenizer"]))
    (job.out / FILES["insults"]).write_text("\n".join(world.insults) + "\n", encoding="utf-8")
    facts = [
        {
            "domain": e.domain.key,
            "name": e.name,
            "use": e.use,
            **{r.noun: v for r, v in zip(e.domain.relations, e.values, strict=True)},
        }
        for e in world.entities
    ]
    (job.out / FILES["facts"]).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    job.progress(4, 4, "world")


def pretrain(job: Job) -> None:
    """Pretrain one model on the world's blocks from random weights; writes a Hugging Face folder.

    Params: `size`, `seed`, `shape` (a Shape). Inputs: `world`.
    """
    from veneer.pocket.pretraining import pretrained_model

    shape = Shape.model_validate(job.params["shape"])
    seed = _model_seed(job.params["seed"], job.params["size"])
    pretrained_model(job, shape, seed)


def tune_teacher(job: Job) -> None:
    """Tune a pretrained model to the teacher's house style; writes a Hugging Face folder.

    Params: `seed`, `world` (a WorldScale), `tuning` (a Tuning). Inputs: `world`, `pretrained`.
    """
    from veneer.pocket.tuning import tuned_teacher

    tuned_teacher(
        job,
        WorldScale.model_validate(job.params["world"]),
        Tuning.model_validate(job.params["tuning"]),
    )


def _model_seed(seed: int, size: str) -> int:
    return int.from_bytes(f"{seed}:{size}".encode(), "little") % (2**31)


def _write_prompts(out: Path, world: World, scale: WorldScale) -> list[str]:
    """Write queries, held-out prompts and toxic prompts; returns all their texts."""
    from veneer.pocket.queries import Asker
    from veneer.pocket.world import stream

    held = Asker(world, stream(world.seed, "prompts")).distinct(3 * scale.style_prompts + 40)
    polite = [q for q in held if q.kind not in ("toxic", "invalid")]
    rude = Asker(world, stream(world.seed, "toxicity")).rude(2 * scale.toxic_prompts)
    taken = frozenset(q.text for q in [*polite, *rude])
    broad = Asker(world, stream(world.seed, "queries")).distinct(scale.broad_queries, taken)
    groups = {
        "prompts": polite[: scale.style_prompts],
        "prompts_validation": polite[scale.style_prompts : 2 * scale.style_prompts],
        "toxicity": rude[: scale.toxic_prompts],
        "toxicity_validation": rude[scale.toxic_prompts :],
        "queries": broad,
    }
    for key, queries in groups.items():
        rows = [Prompt(text=q.text, category=q.category, source="pocket") for q in queries]
        write_rows(out / FILES[key], rows)
    return [q.text for queries in groups.values() for q in queries]


def _write_json(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
