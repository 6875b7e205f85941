"""Every knob that decides the embedded study's world and its models, with two named presets.

A study file says `pocket: full` or `pocket: tiny`; the values themselves, not the
name, enter the fingerprints of the steps through `world_params`, `pretrain_params` and
`tune_params`, each of which carries only what decides that step's result.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from veneer.errors import SpecError, nearest

TEACHER = "teacher"


class Knobs(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WorldScale(Knobs):
    """How large the world is and how much is written and asked about it (counts of items)."""

    entities_per_domain: int = 64
    exam_entities_per_domain: int = 96
    test_entities: int = 14
    validation_entities: int = 8
    asked_share: float = 0.20
    quizzed_share: float = 0.70
    tokens: int = 2_060_000
    block: int = 160
    broad_queries: int = 8_000
    style_prompts: int = 150
    toxic_prompts: int = 100
    mmlu_test: int = 180
    mmlu_validation: int = 90
    problems: int = 60
    replay_texts: int = 12_000


class Shape(Knobs):
    """A Llama's shape and how it is pretrained (steps of `batch` blocks).

    `learning_rate` is for embeddings and norms, `matrix_rate` for the matrices (Muon).
    """

    width: int
    layers: int
    heads: int
    steps: int
    learning_rate: float
    matrix_rate: float = 0.01
    letter_weight: int = 10
    batch: int = 8
    warmup: int = 50
    weight_decay: float = 0.05


class Tuning(Knobs):
    """The teacher's demonstrations (counts) and how it is tuned on them."""

    chat: int = 4_000
    writing: int = 800
    concise: int = 1_000
    code: int = 600
    exams: int = 900
    replay: int = 500
    epochs: int = 1
    batch: int = 16
    learning_rate: float = 1e-3
    matrix_rate: float = 0.005
    warmup: int = 20


class PocketScale(Knobs):
    """All knobs of the embedded study's fixture. `sizes` names the bases and the teacher."""

    world: WorldScale = WorldScale()
    sizes: dict[str, Shape]
    tuning: Tuning = Tuning()

    @property
    def bases(self) -> tuple[str, ...]:
        """The sizes that students grow from, smallest first."""
        return tuple(name for name in self.sizes if name != TEACHER)

    def world_params(self, seed: int) -> dict[str, Any]:
        """Parameters of the step `make_world`."""
        return {"seed": seed, "world": self.world.model_dump(mode="json")}

    def pretrain_params(self, size: str, seed: int) -> dict[str, Any]:
        """Parameters of the step `pretrain` for one of `sizes`."""
        if size not in self.sizes:
            raise SpecError(
                f"The embedded study has no model size {size!r}.", nearest(size, self.sizes)
            )
        return {"size": size, "seed": seed, "shape": self.sizes[size].model_dump(mode="json")}

    def tune_params(self, seed: int) -> dict[str, Any]:
        """Parameters of the step `tune_teacher`."""
        return {
            "seed": seed,
            "world": self.world.model_dump(mode="json"),
            "tuning": self.tuning.model_dump(mode="json"),
        }


FULL = PocketScale(
    sizes={
        "S": Shape(width=16, layers=2, heads=2, steps=800, learning_rate=8e-3),
        "M": Shape(width=32, layers=2, heads=2, steps=1_400, learning_rate=6e-3),
        "L": Shape(width=64, layers=3, heads=4, steps=1_400, learning_rate=5e-3, matrix_rate=0.015),
        TEACHER: Shape(
            width=96,
            layers=3,
            heads=4,
            steps=1_600,
            learning_rate=5e-3,
            matrix_rate=0.015,
            letter_weight=20,
        ),
    }
)

TINY = PocketScale(
    world=WorldScale(
        entities_per_domain=8,
        exam_entities_per_domain=8,
        test_entities=2,
        validation_entities=1,
        tokens=40_000,
        broad_queries=120,
        style_prompts=12,
        toxic_prompts=6,
        mmlu_test=12,
        mmlu_validation=6,
        problems=6,
        replay_texts=250,
    ),
    sizes={
        "S": Shape(width=16, layers=1, heads=2, steps=30, learning_rate=8e-3, warmup=5),
        "M": Shape(width=32, layers=1, heads=2, steps=30, learning_rate=6e-3, warmup=5),
        TEACHER: Shape(width=48, layers=2, heads=2, steps=120, learning_rate=6e-3, warmup=10),
    },
    tuning=Tuning(
        chat=200,
        writing=240,
        concise=40,
        code=20,
        exams=20,
        replay=20,
        batch=8,
        learning_rate=6e-3,
        matrix_rate=0.02,
        epochs=2,
        warmup=5,
    ),
)

SCALES = {"full": FULL, "tiny": TINY}


def pocket_scale(name: str) -> PocketScale:
    """The preset called `name`; an unknown name is a SpecError with the nearest known one."""
    if name not in SCALES:
        raise SpecError(f"The embedded study knows no scale {name!r}.", nearest(name, SCALES))
    return SCALES[name]
