"""Sides, order, ids and attention checks, as properties of drawn studies."""

import hashlib
import itertools
import math
import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from veneer.raters.pairing import ALIKE, Answered, Beside, Check, attention_checks, paired

TEACHER = "zebra-ultra"


def study(prompts, models, skip=frozenset()):
    return [
        Beside(f"Prompt {p}?", m, f"{m} says {p}", TEACHER, f"teacher says {p}", "qa")
        for p in range(prompts)
        for m in models
        if (p, m) not in skip
    ]


def checks_of(count):
    return [Check(f"Check {n}?", f"right {n}", f"wrong {n}") for n in range(count)]


@st.composite
def studies(draw):
    models = [f"quokka-{n}" for n in range(draw(st.integers(1, 4)))]
    prompts = draw(st.integers(1, 25))
    gone = draw(st.sets(st.tuples(st.integers(0, prompts - 1), st.sampled_from(models))))
    pairs = study(prompts, models, gone if draw(st.booleans()) else frozenset())
    return pairs, checks_of(draw(st.integers(0, 7))), draw(st.integers(0, 5))


@given(studies())
def test_every_pair_is_shown_once_and_its_key_says_whose_it_is(drawn):
    pairs, checks, seed = drawn
    rows, keys = paired(pairs, checks, TEACHER, seed)
    assert [row.item for row in rows] == [key.item for key in keys]
    assert len({row.item for row in rows}) == len(rows) == len(pairs) + len(checks)
    known = {(pair.prompt, pair.model): pair for pair in pairs}
    for row, key in zip(rows, keys, strict=True):
        if key.gold is not None:
            continue
        (model,) = {key.first, key.second} - {TEACHER}
        pair = known.pop((row.prompt, model))
        said = {model: pair.answer, TEACHER: pair.other}
        assert (row.output_1, row.output_2) == (said[key.first], said[key.second])
        assert key.category == "qa"
    assert not known


@given(studies())
def test_half_of_each_models_pairs_have_it_first(drawn):
    pairs, checks, seed = drawn
    _, keys = paired(pairs, checks, TEACHER, seed)
    for model in {pair.model for pair in pairs}:
        sides = Counter(key.first == model for key in keys if model in (key.first, key.second))
        assert abs(sides[True] - sides[False]) <= 1
    gold = Counter(key.gold for key in keys if key.gold is not None)
    assert set(gold) <= {1, 2}
    assert abs(gold[1] - gold[2]) <= 1


def test_the_odd_pair_and_each_prompt_come_on_either_side():
    """Over 400 seeds the side of one pair is a fair coin, alone and among others."""
    for prompts in (1, 8):
        pairs = study(prompts, ["quokka"])
        first = 0
        for seed in range(400):
            _, keys = paired(pairs[:prompts], [], TEACHER, seed)
            rows, keys = paired(pairs, [], TEACHER, seed)
            at = next(n for n, row in enumerate(rows) if row.prompt == "Prompt 0?")
            first += keys[at].first == "quokka"
        assert binomtest(first, 400).pvalue > 0.001


@given(st.integers(2, 30), st.integers(2, 5), st.integers(0, 9))
def test_pairs_of_a_prompt_are_as_far_apart_as_there_are_prompts(prompts, models, seed):
    pairs = study(prompts, [f"quokka-{n}" for n in range(models)])
    rows, _ = paired(pairs, [], TEACHER, seed)
    places = {}
    for at, row in enumerate(rows):
        places.setdefault(row.prompt, []).append(at)
    for found in places.values():
        assert all(later - earlier == prompts for earlier, later in itertools.pairwise(found))


@given(studies())
def test_pairs_of_a_prompt_are_never_side_by_side_where_others_could_stand_between(drawn):
    pairs, _, seed = drawn
    rows, _ = paired(pairs, [], TEACHER, seed)
    counts = Counter(row.prompt for row in rows)
    full = sum(count == max(counts.values(), default=0) for count in counts.values())
    last = {}
    for at, row in enumerate(rows):
        if row.prompt in last and full > 1:
            assert at - last[row.prompt] >= full - 1
        last[row.prompt] = at


@given(studies(), st.randoms(use_true_random=False))
def test_equal_content_gives_an_equal_packet_in_whatever_order(drawn, luck):
    pairs, checks, seed = drawn
    mixed, turned = list(pairs), list(checks)
    luck.shuffle(mixed)
    luck.shuffle(turned)
    assert paired(pairs, checks, TEACHER, seed) == paired(mixed, turned, TEACHER, seed)


def test_another_seed_gives_other_ids_sides_and_order():
    pairs = study(40, ["quokka", "numbat"])
    one, _ = paired(pairs, [], TEACHER, 0)
    other, _ = paired(pairs, [], TEACHER, 1)
    assert not {row.item for row in one} & {row.item for row in other}
    assert [row.prompt for row in one] != [row.prompt for row in other]
    assert {(r.prompt, r.output_1) for r in one} != {(r.prompt, r.output_1) for r in other}


def test_order_is_not_that_of_the_file_and_checks_stand_anywhere():
    pairs = study(200, ["quokka"])
    rows, keys = paired(pairs, checks_of(20), TEACHER, 0)
    places = [at for at, key in enumerate(keys) if key.gold is not None]
    assert min(places) < 60
    assert max(places) > 160
    told = [int(row.prompt.split()[1][:-1]) for row in rows if row.prompt.startswith("Prompt")]
    rank = sum(a < b for a, b in itertools.pairwise(told)) / (len(told) - 1)
    assert 0.35 < rank < 0.65


def test_ids_cannot_be_made_from_what_an_outsider_knows():
    """The id of a pair changes with the text of another one: seed, prompt and names are too little.

    And none is a plain hash of these, in the usual ways of joining them.
    """
    pairs = study(12, ["quokka"])
    rows, _ = paired(pairs, [], TEACHER, 0)
    last = pairs[-1]
    changed = [*pairs[:-1], Beside(last.prompt, last.model, "another", TEACHER, last.other)]
    after, _ = paired(changed, [], TEACHER, 0)
    assert not {row.item for row in rows} & {row.item for row in after}
    guessed = set()
    for n in range(12):
        for parts in itertools.permutations([f"Prompt {n}?", "quokka", TEACHER, "0"], 3):
            for joint in ("", " ", "|", "\0", "\n", ":", ",", "-"):
                text = joint.join(parts).encode()
                for kind in ("md5", "sha1", "sha256"):
                    guessed.add(hashlib.new(kind, text).hexdigest()[:16])
    assert not guessed & {row.item for row in rows}


def test_ids_look_random_and_alike_for_pairs_and_checks():
    rows, keys = paired(study(300, ["quokka"]), checks_of(60), TEACHER, 0)
    assert all(re.fullmatch("[0-9a-f]{16}", row.item) for row in rows)
    digits = Counter("".join(row.item for row in rows))
    expected = 16 * len(rows) / 16
    chi = sum((digits[d] - expected) ** 2 / expected for d in "0123456789abcdef")
    assert chi < 37.7  # chi square, 15 degrees of freedom: exceeded once in 1,000
    middle = sorted(row.item for row in rows)[len(rows) // 2]
    gold = [key.item < middle for key in keys if key.gold is not None]
    assert binomtest(sum(gold), len(gold)).pvalue > 0.001


# ---- attention checks --------------------------------------------------------------------------

TOPICS = ["violins", "volcanoes", "tax returns", "sourdough", "penguins", "glaciers", "chess"]


def answers_of(count):
    return [
        Answered(
            f"Tell me about {TOPICS[n % 7]} number {n}.",
            f"About {TOPICS[n % 7]} number {n}: "
            + " ".join(f"{TOPICS[n % 7]}{k}" for k in range(n)),
            "qa",
        )
        for n in range(4, 4 + count)
    ]


@settings(max_examples=30)
@given(st.integers(14, 40), st.integers(1, 10), st.integers(0, 4))
def test_a_wrong_answer_is_to_another_prompt_beside_the_question_and_as_long(size, count, seed):
    rows = answers_of(size)
    said = {row.prompt: row.answer for row in rows}
    owner = {row.answer: row for row in rows}
    checks = attention_checks(rows, count, seed)
    assert len(checks) == count
    assert len({check.prompt for check in checks}) == count
    assert len({check.wrong for check in checks}) == count
    for check in checks:
        assert check.right == said[check.prompt]
        other = owner[check.wrong].prompt
        assert other != check.prompt
        topic = set(check.prompt.split()[3:-2])
        assert not topic & set(other.split()), "asks the same"
        apart = abs(math.log(len(check.wrong) / len(check.right)))
        reach = [
            abs(math.log(len(row.answer) / len(check.right)))
            for row in rows
            if row.prompt != check.prompt and not topic & set(row.prompt.split())
        ]
        # Similar in length, or about the nearest where each answer is used once.
        assert apart <= math.log(ALIKE) or apart <= sorted(reach)[min(3 + count, len(reach) - 1)]


def test_spare_prompts_are_checked_first():
    rows = answers_of(20)
    checks = attention_checks(rows[:14], 8, 0, rows[14:])
    assert {row.prompt for row in rows[14:]} <= {check.prompt for check in checks}
    assert len(checks) == 8


def test_length_does_not_tell_the_right_answer():
    checks = attention_checks(answers_of(120), 40, 0)
    longer = sum(len(check.wrong) > len(check.right) for check in checks)
    assert 15 <= longer <= 25


def test_where_no_wrong_answer_is_there_no_check_is_made():
    same = [
        Answered(f"What is the capital of France, {n}?", f"It is Paris, said {n}.") for n in "abc"
    ]
    assert attention_checks(same, 3, 0) == []
    assert attention_checks(answers_of(1), 3, 0) == []
    short = [Answered(f"{topic}?", "Yes.") for topic in TOPICS]
    assert attention_checks(short, 3, 0) == []


def test_checks_are_the_same_again_and_others_by_another_seed():
    rows = answers_of(30)
    assert attention_checks(rows, 5, 0) == attention_checks(rows[::-1], 5, 0)
    assert attention_checks(rows, 5, 0) != attention_checks(rows, 5, 1)
