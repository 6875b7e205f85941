"""The embedded study: a synthetic world, its corpus, its small models, its benchmarks."""

from veneer.pocket.scale import PocketScale, pocket_scale
from veneer.pocket.steps import files, make_world, pretrain, tune_teacher

__all__ = ["PocketScale", "files", "make_world", "pocket_scale", "pretrain", "tune_teacher"]
