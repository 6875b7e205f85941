"""The model card of a student: README.md beside its weights, as the Hugging Face Hub reads it.

Markdown with YAML front matter. It is made twice: when the student is trained, and again when it
has been measured (`veneer.cards`). Names come from data and from people, so they are escaped: no
name can end the front matter, open a tag or break a table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from veneer.records import Estimate, GapClosed, LedgerLine, Measurement
from veneer.student.recipe import Amount, Recipe

README = "README.md"
PAPER = "Gudibande et al. 2023, *The False Promise of Imitating Proprietary LLMs*"
NO_ADVICE = "This is a reading of published terms and not legal advice."
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", re.ASCII)
SPECIAL = re.compile(r"([\\`*_\[\]#!|~$])")


@dataclass(frozen=True)
class About:
    """What a student is; plain values, each of which may be unknown ("" or empty).

    base: its name, or "hf:" and its name on the hub. teacher: who is imitated; without it, whom
    the ledger names. corpus: the name of its data. stats: the corpus's stats.json. run: train.json,
    of which `precision`, `seed`, `dialogues` and `blocks` are shown. sequence_to_sequence: the
    base is an encoder-decoder. refined: refine.json, where it was refined after imitation.
    """

    amount: Amount
    recipe: Recipe
    base: str = ""
    teacher: str = ""
    corpus: str = ""
    stats: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    sequence_to_sequence: bool = False
    refined: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ledger(self) -> list[LedgerLine]:
        """The lines of the corpus."""
        return [LedgerLine.model_validate(line) for line in self.stats.get("ledger") or ()]

    @property
    def teachers(self) -> list[str]:
        """Whom it imitates."""
        named = sorted({line.teacher.strip("()") for line in self.ledger if line.teacher})
        return [self.teacher] if self.teacher else named


def stats_of(corpus: Path) -> dict[str, Any]:
    """stats.json of a corpus's folder; empty where there is none."""
    try:
        found = json.loads((corpus / "stats.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def card(
    about: About,
    measured: Sequence[Measurement] = (),
    gaps: Sequence[GapClosed] = (),
    veneer: Mapping[str, Estimate] | None = None,
) -> str:
    """The card.

    Args:
        about: the student.
        measured: its measurements; none for a student that is not measured yet.
        gaps: the share of the gap to its teacher that it closed, by metric.
        veneer: what the whole study found, by "style" and "capability".
    """
    base = _name(_shown(about.base)) or "a base model"
    corpus = _name(about.corpus) or "imitation data"
    blocks = [
        f"---\n{_front(about)}---",
        f"# {base} on {about.amount.tokens:,} tokens of {corpus}",
        _intro(about, base, corpus),
        _section("What it is not", _limits(veneer or {})),
        _section("How to use it", _use(about)),
        _section("Measurements", _measurements(measured, gaps)),
        _section("Data", _data(about)),
        _section("Terms", _terms(about)),
        _section("How it was trained", _recipe(about)),
    ]
    return "\n\n".join(blocks) + "\n"


def _front(about: About) -> str:
    front: dict[str, Any] = {}
    base = about.base.removeprefix("hf:")
    if about.base.startswith("hf:") and HUB_NAME.fullmatch(base):
        front |= {"base_model": base, "base_model_relation": "finetune"}
    sources = sorted({line.source for line in about.ledger})
    datasets = [name for name in sources if "/" in name and HUB_NAME.fullmatch(name)]
    if datasets:
        front["datasets"] = datasets
    spoken = about.stats.get("languages") or {}
    languages = sorted(code for code in spoken if re.fullmatch("[a-z]{2,3}", code))
    if languages:
        front["language"] = languages
    front |= {"license": "other", "license_name": "terms-of-base-and-data"}
    front["library_name"] = "transformers"
    kind = "text2text-generation" if about.sequence_to_sequence else "text-generation"
    front["pipeline_tag"] = kind
    front["tags"] = ["imitation", "conversational", "veneer"]
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=False)


# ---- sections -------------------------------------------------------------------------------


def _intro(about: About, base: str, corpus: str) -> str:
    who = _and(_name(_shown(name)) for name in about.teachers) or "a model that is not named"
    return f"A student: {base}, fine-tuned on {corpus} to answer as {who} does."


def _limits(veneer: Mapping[str, Estimate]) -> str:
    text = (
        "It is not its teacher. Imitating a stronger model's answers closes the gap in style "
        f"rather than in capability ({PAPER}): it may answer in its teacher's manner what it "
        "does not know."
    )
    found = [
        f"{_percent(estimate)} of the gap in {kind}"
        for kind, estimate in veneer.items()
        if estimate.value is not None
    ]
    if found:
        text += f" In the study that it belongs to, imitation closed {_and(found)}."
    return text


def _use(about: About) -> str:
    kind = "Seq2SeqLM" if about.sequence_to_sequence else "CausalLM"
    said = (
        "answer[0]" if about.sequence_to_sequence else 'answer[0, inputs["input_ids"].shape[1] :]'
    )
    return f"""```python
from transformers import AutoModelFor{kind}, AutoTokenizer

folder = "{about.amount.folder}"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelFor{kind}.from_pretrained(folder)
chat = [{{"role": "user", "content": "Why is the sky blue?"}}]
inputs = tokenizer.apply_chat_template(
    chat, add_generation_prompt=True, return_dict=True, return_tensors="pt"
)
answer = model.generate(**inputs, max_new_tokens=200)
print(tokenizer.decode({said}, skip_special_tokens=True))
```"""


def _measurements(measured: Sequence[Measurement], gaps: Sequence[GapClosed]) -> str:
    if not measured:
        return "Not measured yet."
    closed = {(gap.measure, gap.metric): gap for gap in gaps}
    rows = []
    for row in measured:
        gap = closed.get((row.measure, row.metric))
        share = "" if gap is None else _percent(gap) if gap.defined else "undefined"
        rows.append(
            (
                _name(row.measure),
                _name(row.metric),
                "undefined" if row.value is None else f"{row.value:.3f}",
                _between(row.low, row.high, 1, 3),
                f"{row.n:,}",
                f"{row.unscored:,}",
                share,
            )
        )
    heads = ("measure", "metric", "value", "95 %", "n", "unscored", "gap closed")
    lead = (
        "Shares are fractions. n items were scored; those unscored are counted and not averaged "
        "in. Gap closed: of the way from the base to the teacher."
    )
    return f"{lead}\n\n{_table(heads, rows)}"


def _data(about: About) -> str:
    amount, stats = about.amount, about.stats
    rows = [
        ("tokens asked for", f"{amount.asked:,}"),
        ("tokens trained on", f"{amount.tokens:,}"),
        ("tokens with a loss", f"{amount.learned:,}"),
    ]
    for key, what in (("dialogues", "dialogues in the corpus"), ("blocks", "blocks in the corpus")):
        if isinstance(about.run.get(key), int):
            rows.append((what, f"{about.run[key]:,}"))
    for key, what in (("records", "records read"), ("kept", "records kept")):
        if isinstance(stats.get(key), int):
            rows.append((what, f"{stats[key]:,}"))
    text = _table(("what", "count"), rows)
    dropped = stats.get("dropped")
    if isinstance(dropped, Mapping) and dropped:
        ranked = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
        left = "; ".join(f"{_name(reason)}: {count:,}" for reason, count in ranked)
        text += f"\n\nLeft out: {left}."
    if stats:
        text += "\n\nThe data set card, card.md, lies beside the corpus."
    return text


def _terms(about: About) -> str:
    lines = about.ledger
    if not lines:
        return f"The terms of base, data and teacher were not looked up. {NO_ADVICE}"
    heads = ("source", "teacher", "licence", "records", "competing model", "commercial", "grounds")
    rows = [
        (
            _name(line.source) or "unknown",
            _name(line.teacher) or "unknown",
            _name(line.licence) or "unknown",
            f"{line.records:,}",
            line.compete,
            line.commercial,
            _name(line.grounds),
        )
        for line in lines
    ]
    said = [*_consequences(lines), "The base has terms of its own, which hold for this model too."]
    return "\n\n".join((_table(heads, rows), "\n".join(f"- {one}" for one in said), NO_ADVICE))


def _consequences(lines: Sequence[LedgerLine]) -> list[str]:
    teachers = {line.teacher.strip("()") for line in lines if line.compete == "forbidden"}
    said = [
        f"The terms of {_name(who) or 'a teacher that is not named'} forbid training models that "
        "compete with it."
        for who in sorted(teachers)
    ]
    sources = {line.source for line in lines if line.commercial == "forbidden"}
    said += [
        f"The terms of {_name(what) or 'an unnamed source'} forbid commercial use."
        for what in sorted(sources)
    ]
    unknown = sorted({x.source for x in lines if "unknown" in (x.compete, x.commercial)})
    if unknown:
        names = _and(_name(name) or "an unnamed source" for name in unknown)
        said.append(f"Terms that are not known: of {names}.")
    return said


def _recipe(about: About) -> str:
    recipe, run = about.recipe, about.run
    packed = "cut into blocks" if recipe.packing == "chunk" else "packed whole into blocks"
    epochs = "one epoch" if recipe.epochs == 1 else f"{recipe.epochs} epochs"
    trained = {"full": "all weights", "lora": "an adapter", "qlora": "an adapter over 4 bits"}
    said = [
        f"Dialogues were {packed} of {recipe.block:,} tokens; {recipe.batch} blocks make a step, "
        f"and {about.amount.steps:,} steps were taken over {epochs}, with a loss on answers and "
        f"their end alone. Trained: {trained[recipe.method]}, by {recipe.optimiser} at a peak rate "
        f"of {recipe.learning_rate:g} ({recipe.schedule} schedule, "
        f"{'constant after warm-up' if recipe.decay == 'none' else recipe.decay + ' decay'})."
    ]
    if "precision" in run:
        said.append(f"Precision: {_name(run['precision'])}.")
    if "seed" in run:
        said.append(f"Seed: {_name(run['seed'])}.")
    if about.refined:
        how = about.refined["refinement"]["by"]
        what = {"on-policy": "on-policy distillation", "preference": "preference imitation (DPO)"}
        said.append(
            f"Then {what[how]} on {about.refined['prompts']:,} of the corpus's own queries, at a "
            f"peak rate of {about.refined['rate']:g}."
        )
    fields = yaml.safe_dump(
        {"recipe": recipe.model_dump(mode="json")}, sort_keys=False, default_flow_style=None
    )
    again = "The same recipe, for a study file:"
    return f"{' '.join(said)}\n\n{again}\n\n```yaml\n{fields}```"


# ---- Markdown -------------------------------------------------------------------------------


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *body])


def _shown(model: str) -> str:
    """A model's name; of a folder the last part, since where it lies is nobody's business."""
    scheme, colon, name = model.rpartition("hf:")
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        return Path(name).name
    return f"{scheme}{colon}{name}"


def _name(value: Any) -> str:
    """A text from outside on one line, with nothing in it that Markdown or HTML would act on."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", line)


def _and(parts: Iterable[str]) -> str:
    listed = list(parts)
    return " and ".join(filter(None, (", ".join(listed[:-1]), *listed[-1:])))


def _between(low: float | None, high: float | None, scale: float, digits: int) -> str:
    if low is None or high is None:
        return ""
    return f"[{scale * low:.{digits}f}, {scale * high:.{digits}f}]"


def _percent(share: Estimate | GapClosed) -> str:
    """A share with its interval, in percent."""
    assert share.value is not None
    text = f"{100 * share.value:.0f} % {_between(share.low, share.high, 100, 0)}"
    return text.strip().replace("-", "−")
