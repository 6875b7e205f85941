"""`veneer rate pack`: two files and a run's folder become packets, and what is left out is said."""

import json
from pathlib import Path

import pytest
import sacrebleu

from veneer.errors import InputError, RunFolderError, SpecError
from veneer.raters.packet import KEY, PAIRS, read_packet
from veneer.raters.power import Design, prompts_needed
from veneer.rating.packing import PackSettings, pack_outputs, pack_run, settings_of
from veneer.rating.screening import names_in
from veneer.records import Answer, Dialogue, Message, Subject, write_rows
from veneer.spec import load_study
from veneer.steps import RunFolder
from veneer.steps.folder import new_partial
from veneer.study import TEACHER, Examination
from veneer.trial import Trial

TINY = Path(__file__).parent / "tiny.yaml"
MINE, THEIRS = "quokka-7b", "zebra-ultra"
GOOD = {
    "How do glaciers carve valleys in the mountains?": (
        "Ice grinds the rock below it and drags the rubble slowly downhill.",
        "A glacier plucks stones from its bed and scrapes a wide valley with them.",
    ),
    "Why do violins have four strings instead of six?": (
        "Four strings cover the range that a hand can reach on a short neck.",
        "Their tuning in fifths makes four strings enough for the whole compass.",
    ),
    "What should a beginner know before adopting a parrot?": (
        "Parrots live for decades and need company every single day of them.",
        "Expect noise, chewed furniture and a friend who outlives most dogs.",
    ),
    "Who painted the ceiling of the Sistine Chapel and when?": (
        "Michelangelo painted it between 1508 and 1512 for Pope Julius the Second.",
        "It is by Michelangelo, who worked on the frescoes from 1508 until 1512.",
    ),
    "When is the best season for planting garlic in Canada?": (
        "Plant garlic in October, a few weeks before the ground freezes hard.",
        "Autumn is best: cloves root before winter and sprout early in spring.",
    ),
}
BLEND = "How do I bake a rye sourdough loaf at home without a kitchen scale?"
ODD = {
    "Write a Python function that sorts a list of numbers.": ("sorted(xs)", "xs.sort()"),
    "Wie wird das Wetter morgen in Berlin, und was soll ich anziehen?": ("Kalt.", "Mild."),
    "Where do swallows spend the winter months?": ("In Africa, far away.", "South of the Sahara."),
    BLEND: ("Use cups for the flour.", "Weigh by hand with a spoon."),
    "Do you enjoy long walks on the beach?": (
        "As an AI language model, I have no legs to walk with.",
        "Yes, above all at sunset, when it is quiet.",
    ),
    "Which assistant gives the best cooking advice?": (
        "Many say that quokka-7B cooks well, and I agree.",
        "Whichever one asks about your kitchen first.",
    ),
    "What is the capital city of France?": ("  It is Paris.\n", "It is Paris."),
    "Which planet has the largest moon?": (None, "Jupiter, with Ganymede."),
}
TRAINING = [
    "Where do Swallows spend the winter months",
    "How do I bake a rye sourdough loaf at home?",
    "Is the sea salty everywhere?",
]
DROPPED = {
    "about code": 1,
    "in another language than en": 1,
    "asked in the imitation data": 1,
    "BLEU above 20 % with a question of the imitation data": 1,
    "an output says what made it": 1,
    "an output contains the name of a model": 1,
    f"no answer of {MINE}": 1,
}


@pytest.fixture
def files(tmp_path):
    """Two output files and imitation data."""
    rows = {**GOOD, **ODD}
    for at, name in enumerate((MINE, THEIRS)):
        said = [{"instruction": p, "output": rows[p][at], "generator": name} for p in rows]
        if name == THEIRS:
            said.append({"instruction": "Only here?", "output": "Yes.", "generator": name})
        text = "".join(json.dumps(row) + "\n" for row in said)
        (tmp_path / f"{name}.jsonl").write_text(text, "utf-8")
    lines = [
        json.dumps({"messages": [
            {"role": "user", "content": text}, {"role": "assistant", "content": "…"}
        ]})
        for text in TRAINING
    ]  # fmt: skip
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return tmp_path


def pack(files, out="packet", corpus=True, **given):
    return pack_outputs(
        str(files / f"{MINE}.jsonl"),
        str(files / f"{THEIRS}.jsonl"),
        files / out,
        corpus=[files / "corpus.jsonl"] if corpus else [],
        settings=PackSettings(**given),
    )


def content(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


# ---- two files ---------------------------------------------------------------------------------


def test_what_two_files_become(files):
    assert sacrebleu.sentence_bleu(BLEND, [TRAINING[1]]).score > 20
    said = pack(files)
    packet = read_packet(files / "packet")
    assert said["dropped"] == packet.facts.dropped == DROPPED
    rated = [pair for pair in packet.pairs if packet.keys[pair.item].gold is None]
    assert {pair.prompt for pair in rated} == set(GOOD)
    for pair in rated:
        key = packet.keys[pair.item]
        shown = {key.first: pair.output_1, key.second: pair.output_2}
        assert shown == dict(zip((MINE, THEIRS), GOOD[pair.prompt], strict=True))
    for pair in packet.pairs:
        key = packet.keys[pair.item]
        if key.gold is not None:
            right, wrong = (pair.output_1, pair.output_2)[:: 1 if key.gold == 1 else -1]
            texts = {**GOOD, **ODD}
            assert right == texts[pair.prompt][1]
            assert wrong in {
                theirs for prompt, (_, theirs) in texts.items() if prompt != pair.prompt
            }
            assert {key.first, key.second} == {f"{THEIRS}'s answer", "answer to another prompt"}
    equal, failed = sorted(packet.settled, key=lambda row: row.second_wins is None)
    assert (equal.prompt, equal.second_wins) == ("What is the capital city of France?", 0.5)
    assert (failed.prompt, failed.second_wins) == ("Which planet has the largest moon?", None)
    assert failed.reason == f"{MINE}'s answer failed: the file holds no answer"
    assert (failed.first, failed.second) == (THEIRS, MINE)
    assert packet.facts.subjects[MINE] == Subject(model=MINE, role="student")
    assert packet.facts.subjects[THEIRS].role == "teacher"
    assert (packet.facts.against, packet.facts.prompts) == (THEIRS, 7)


def test_pairs_name_nobody(files):
    pack(files)
    shown = (files / "packet" / PAIRS).read_text("utf-8").casefold()
    for name in (MINE, THEIRS, "corpus", "student", "gold"):
        assert name not in shown
    assert MINE in (files / "packet" / KEY).read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        ({"keep_coding": True}, ["about code"]),
        ({"language": None}, ["in another language than en"]),
        ({"bleu": None}, ["BLEU above 20 % with a question of the imitation data"]),
        ({"bleu": 1.0}, ["BLEU above 20 % with a question of the imitation data"]),
        (
            {"keep_self_naming": True},
            ["an output says what made it", "an output contains the name of a model"],
        ),
    ],
)
def test_each_filter_can_be_left_out(files, given, reasons):
    left = {reason: count for reason, count in DROPPED.items() if reason not in reasons}
    assert pack(files, **given)["dropped"] == left


def test_without_imitation_data_it_says_that_nothing_was_decontaminated(files):
    said = pack(files, corpus=False)
    assert "Nothing was decontaminated" in said["text"]
    assert not [reason for reason in said["dropped"] if "imitation" in reason]
    assert "Nothing was decontaminated" not in pack(files, "other")["text"]


def test_a_limit_draws_prompts_and_checks_come_from_the_others(files):
    said = pack(files, prompts=4, gold=0.5)
    packet = read_packet(files / "packet")
    taken = {pair.prompt for pair in packet.pairs if packet.keys[pair.item].gold is None}
    taken |= {row.prompt for row in packet.settled}
    assert len(taken) == said["prompts"] == 4
    assert said["dropped"]["beyond the 4 asked for"] == 3
    checks = {pair.prompt for pair in packet.pairs if packet.keys[pair.item].gold is not None}
    spare = set(GOOD) - taken
    assert spare <= checks
    assert pack(files, "again", prompts=4, gold=0.5)["text"] == said["text"]
    other = pack(files, "other", prompts=4, gold=0.5, seed=7)
    assert other["prompts"] == 4
    assert read_packet(files / "other").pairs != packet.pairs


def test_what_it_will_take_is_said_before_anything_starts(files):
    said = pack(files, seconds=60, ratings=4, gold=0.2, hourly_usd=20)
    assert (said["pairs"], said["gold"], said["votes"]) == (5, 1, 20)
    assert said["hours"] == pytest.approx(6 * 4 / 60)
    assert said["usd"] == {"own": 8.0, "mturk": 9.6, "prolific": 11.42}
    assert said["settled"] == {"equal": 1, "failed": 1}
    assert said["prompts_a_model"] == 6  # five pairs and a tie
    assert said["prompts_for_55"] == prompts_needed(0.55, Design(4))
    for part in ("USD 8.00 at USD 20 an hour", "USD 9.60 (20 % fees)", "about code", "55 %"):
        assert part in said["text"]
    assert pack(files, "fee", seconds=60, fee=0.1)["usd"]["crowd"] == pytest.approx(
        1.1 * 15 * 6 * 3 / 60
    )
    json.dumps(said)


def test_time_is_reckoned_from_the_words_to_be_read(files):
    said = pack(files)
    packet = read_packet(files / "packet")
    words = sum(len((p.prompt + " " + p.output_1 + " " + p.output_2).split()) for p in packet.pairs)
    expected = 10 + 60 / 238 * words / len(packet.pairs)
    assert said["seconds_per_pair"] == pytest.approx(expected, abs=0.06)


def test_the_same_again_changes_nothing_and_anything_else_is_refused(files):
    first = pack(files)
    before = content(files / "packet")
    assert pack(files) == first
    for given in ({"seed": 1}, {"ratings": 5}, {"title": "Answers"}, {"keep_coding": True}):
        with pytest.raises(RunFolderError, match="another packet"):
            pack(files, **given)
    assert content(files / "packet") == before
    path = files / "packet" / PAIRS
    path.write_text(path.read_text("utf-8").replace("glacier", "river"), "utf-8")
    with pytest.raises(InputError, match="edited after it was packed"):
        pack(files)


def test_folders_of_others_are_left_alone(files):
    (files / "notes").mkdir()
    (files / "notes" / "mine.txt").write_text("x")
    with pytest.raises(RunFolderError, match="something else than a packet"):
        pack(files, "notes")
    with pytest.raises(RunFolderError, match="is a file"):
        pack(files, "notes/mine.txt")
    assert (files / "notes" / "mine.txt").read_text() == "x"


def test_files_that_share_no_prompt_or_are_one(files):
    other = files / "elsewhere.jsonl"
    other.write_text(json.dumps({"prompt": "Elsewhere?", "output": "Yes."}) + "\n")
    with pytest.raises(InputError, match="no prompt in common"):
        pack_outputs(str(files / f"{MINE}.jsonl"), str(other), files / "out")
    with pytest.raises(InputError, match="compared with itself"):
        pack_outputs(str(other), str(other), files / "out")
    assert not (files / "out").exists()


def test_where_nothing_is_left_it_says_which_filter_took_how_many(files):
    for name in (MINE, THEIRS):
        path = files / f"{name}.jsonl"
        odd = [line for line in path.read_text().splitlines() if "Python" in line or "Wie" in line]
        path.write_text("\n".join(odd) + "\n")
    with pytest.raises(InputError) as caught:
        pack(files)
    assert "None of 2 prompts is left" in caught.value.message
    assert "1 about code" in caught.value.message
    assert "1 in another language than en" in caught.value.message
    assert "--keep-coding" in caught.value.hint
    assert not (files / "packet").exists()


def test_questions_known_by_number_need_their_texts(tmp_path):
    for name in ("one", "two"):
        rows = [
            {"question_id": n, "answer_id": f"{name}{n}", "model_id": f"{name}-model",
             "text": f"{name} says that answer {n} is right"}
            for n in range(4)
        ]  # fmt: skip
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = (str(tmp_path / "one"), str(tmp_path / "two"), tmp_path / "packet")
    with pytest.raises(InputError, match="4 its text is not known") as caught:
        pack_outputs(*given)
    assert "--questions" in caught.value.hint
    texts = ["How old is the moon?", "Why is rain wet?", "Who built Rome?", "When do cats sleep?"]
    questions = tmp_path / "questions"
    rows = [{"question_id": n, "text": text} for n, text in enumerate(texts)]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert pack_outputs(*given, questions=questions)["pairs"] == 4


def test_titles_that_name_a_model_and_impossible_settings(files):
    with pytest.raises(InputError, match="raters see it"):
        pack(files, title=f"Is {MINE} any good?")
    with pytest.raises(SpecError, match="--hourly-usd"):
        settings_of(hourly_usd=-1)
    with pytest.raises(SpecError, match="--language"):
        settings_of(language="English")
    assert settings_of(ratings=5) == PackSettings(ratings=5)


def test_real_answers_to_vicunas_questions(tmp_path):
    data = Path(__file__).parents[1].parent / "shared" / "data" / "vicuna_blog"
    if not data.is_dir():
        pytest.skip("the shared data are not here")
    questions = data / "question.jsonl"
    rows = [json.loads(line) for line in questions.read_text("utf-8").splitlines()]
    kinds = {row["text"]: row["category"] for row in rows}
    said = pack_outputs(
        str(data / "answer_vicuna-13b.jsonl"),
        str(data / "answer_gpt35.jsonl"),
        tmp_path / "packet",
        questions=questions,
    )
    packet = read_packet(tmp_path / "packet")
    assert said["prompts"] + sum(said["dropped"].values()) == len(kinds) == 80
    assert said["dropped"]["about code"] >= sum(kind == "coding" for kind in kinds.values()) == 7
    assert said["gold"] == round(said["pairs"] / 9)
    for pair in packet.pairs:
        assert kinds[pair.prompt] == packet.keys[pair.item].category != "coding"
        assert "an ai language model, i" not in f"{pair.output_1} {pair.output_2}".casefold()


# ---- a run -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder of the tiny study, its steps' outputs written by hand: answers and corpora."""
    root = tmp_path_factory.mktemp("packed") / "run"
    study, here = load_study(str(TINY))
    folder = RunFolder(root)
    root.mkdir()
    spec = study.model_dump(mode="json", by_alias=True)
    folder.claim("study", spec, notes={"here": str(here.resolve())})
    exam = Examination(Trial(study, here, 0))
    models = [(Subject(model=TEACHER, role="teacher"), exam.teacher())]
    models += [(who, exam.measured(who, voice, exam.measures)) for who, voice in exam.learners()]
    for subject, step in models:
        partial = new_partial(folder.steps, step.folder)
        about = {"subject": subject.model_dump(), "parameters": 1, "notes": []}
        (partial / "model.json").write_text(json.dumps(about))
        asked = [*GOOD, BLEND, "Where do swallows spend the winter months?"]
        said = [
            f"{subject.model[:1]}{n} tells a teacher: {GOOD.get(p, [p])[-1]}"
            for n, p in enumerate(asked)
        ]
        rows = [
            Answer(prompt=p, text=text, model=subject.model)
            for p, text in zip(asked, said, strict=True)
        ]
        write_rows(partial / "answers.jsonl", rows)
        folder.commit(step, partial, {})
    for name, query in (("broad", TRAINING[0]), ("local", TRAINING[1])):
        step = exam.trial.curated(name)
        partial = new_partial(folder.steps, step.folder)
        turns = (Message(role="user", content=query), Message(role="assistant", content="…"))
        write_rows(partial / "corpus.jsonl", [Dialogue(messages=turns)])
        folder.commit(step, partial, {})
    return root


MOST = ["S-broad-2000", "S-replayed-1000", "S-local-64"]
MOST += [name.replace("S-", "M-") for name in MOST]


def test_of_a_run_the_students_of_most_data_beside_the_teacher(run, tmp_path):
    said = pack_run(run, tmp_path / "packet", settings=PackSettings(bleu=0.2))
    assert said["models"] == MOST
    assert said["against"] == TEACHER
    assert said["dropped"] == {
        "asked in the imitation data": 1,
        "BLEU above 20 % with a question of the imitation data": 1,
    }
    assert said["pairs"] == len(GOOD) * len(MOST)
    packet = read_packet(tmp_path / "packet")
    assert set(packet.facts.subjects) == {TEACHER, *MOST}
    assert packet.facts.subjects["S-local-64"].corpus == "local"
    assert "the name" not in str(said["dropped"])  # "teacher" is a word


def test_only_the_corpora_of_the_chosen_students_decontaminate(run, tmp_path):
    said = pack_run(run, tmp_path / "broad", models=["S-broad-600"])
    assert said["dropped"] == {"asked in the imitation data": 1}
    said = pack_run(run, tmp_path / "base", models=["M"], against="S")
    assert said["dropped"] == {}
    assert said["against"] == "S"
    said = pack_run(run, tmp_path / "all", models=["all"])
    assert len(said["models"]) == 10


def test_of_the_embedded_world_only_filters_that_were_asked_for(run, tmp_path):
    said = pack_run(run, tmp_path / "packet")
    assert said["dropped"] == {"asked in the imitation data": 1}
    assert "embedded world" in said["text"]
    asked = {"bleu": 0.2, "language": "de", "keep_coding": False}
    assert PackSettings(**asked).for_embedded_world() == PackSettings(**asked)
    with pytest.raises(InputError, match="7 in another language than de"):
        pack_run(run, tmp_path / "german", settings=PackSettings(language="de"))


def test_unknown_models_seeds_and_a_model_beside_itself(run, tmp_path):
    with pytest.raises(InputError, match="no model 'S-brod-2000'") as caught:
        pack_run(run, tmp_path / "x", models=["S-brod-2000"])
    assert caught.value.hint == "Did you mean 'S-broad-2000'?"
    with pytest.raises(InputError, match="compared with itself"):
        pack_run(run, tmp_path / "x", models=["S"], against="S")
    with pytest.raises(InputError, match="no seed 3"):
        pack_run(run, tmp_path / "x", of_seed=3)


def test_an_unfinished_run_says_what_to_type(run, tmp_path):
    study, here = load_study(str(TINY))
    left = RunFolder(run).output(Examination(Trial(study, here, 0)).teacher())
    left.rename(tmp_path / "away")
    try:
        with pytest.raises(InputError, match="measured-teacher-s0 is not done") as caught:
            pack_run(run, tmp_path / "x")
    finally:
        (tmp_path / "away").rename(left)
    assert caught.value.hint == f"Finish it first:  veneer run … --out {run}"


def test_audits_files_and_strange_folders_are_told_apart(tmp_path):
    audit = tmp_path / "audit"
    audit.mkdir()
    (audit / "provenance.json").write_text('{"kind": "audit"}')
    for given in (audit, audit / "provenance.json"):
        with pytest.raises(InputError, match="keeps no models' answers") as caught:
            pack_run(given, tmp_path / "x")
        assert "veneer rate pack ONE TWO" in caught.value.hint
    with pytest.raises(InputError, match="not a run folder"):
        pack_run(tmp_path, tmp_path / "x")


def test_names_are_found_whole_without_owner_and_version():
    known = ["acme/koala-13b:2023", "S", "teacher", "large"]
    for text in ("As Koala-13B says.", "acme/koala-13b:2023", "(koala-13b:2023)"):
        assert names_in(text, known), text
    for text in ("koala-13bs", "a koala", "The teacher has a large S."):
        assert not names_in(text, known), text
