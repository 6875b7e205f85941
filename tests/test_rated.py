"""Votes on a packet: verdicts, rates, origins, a judge beside them, files, and back again."""

import csv
import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from veneer.errors import InputError, RunFolderError
from veneer.intervals import drawn, mean_of
from veneer.measure.recorded import recorded_verdicts
from veneer.rated import (
    import_votes,
    rated,
    rated_recorded,
    results_json,
    results_text,
    write_rated,
)
from veneer.raters.packet import write_packet
from veneer.raters.power import Design, prompts_needed
from veneer.records import (
    SECOND_WINS,
    Comparison,
    PacketFacts,
    PairKey,
    PreferenceReport,
    RatedPair,
    ScoreSheet,
    Settled,
    Subject,
    Vote,
    majority,
    read_rows,
)

HUMAN = Path(__file__).parents[1].parent / "shared/data/human"
FILES = (
    "votes.jsonl", "votes.csv", "comparisons.jsonl", "preferences.jsonl", "sheets.jsonl",
    "agreement.json", "raters.jsonl", "raters.csv", "results.json", "provenance.json",
)  # fmt: skip
SUBJECTS = {
    "student": Subject(model="quokka", role="student", tokens=5),
    "small": Subject(model="wombat", role="base", tokens=0),
    "teacher": Subject(model="zebra", role="teacher"),
}


def made(folder, prompts=12, models=("student",), gold=0, ratings=3, settled=(), same_length=True):
    """A packet with sides drawn by the pair's number."""
    rng = np.random.default_rng(prompts)
    pairs, keys = [], []
    for model in models:
        for k in range(prompts):
            texts = [f"{model} {k:03}", "a teacher"]
            texts = (
                ["same size.", "same-size."]
                if same_length
                else [t * int(rng.integers(1, 9)) for t in texts]
            )
            names = (model, "teacher") if (k * 7 + len(model)) % 2 else ("teacher", model)
            item = f"{model[:2]}{k:04}"
            pairs.append(RatedPair(item=item, prompt=f"Q{k}", output_1=texts[0], output_2=texts[1]))
            keys.append(PairKey(item=item, first=names[0], second=names[1], category="ab"[k % 2]))
    for k in range(gold):
        pairs.append(RatedPair(item=f"g{k}", prompt=f"G{k}", output_1="good", output_2="bad"))
        keys.append(PairKey(item=f"g{k}", first="answer", second="another's", gold=1 + k % 2))
    facts = PacketFacts(
        title="A study", ratings=ratings, seed=0, pairs=len(pairs) - gold, gold=gold,
        against="teacher", subjects=SUBJECTS, prompts=prompts, dropped={"coding": 2},
    )  # fmt: skip
    return write_packet(folder, facts, pairs, keys, settled)


def vote(item, rater, choice, **more):
    return Vote(item=item, rater=str(rater), choice=choice, **more)


def voted(packet, rng, raters=6, skill=0.5, spammers=(), origin=lambda rater: "private"):
    """Raters see that the model wins in 60 %; a spammer presses any key."""
    votes = []
    for at, pair in enumerate(packet.pairs):
        key = packet.keys[pair.item]
        mine = 2 if key.first == "teacher" else 1
        better = key.gold or (mine if rng.random() < 0.6 else 3 - mine)
        checked = key.gold is not None
        for n in range(raters if checked else packet.facts.ratings):
            rater = n if checked else (at + n) % raters
            sure = 0.95 if checked else skill
            careful = rater not in spammers and rng.random() < sure
            choice = better if careful else int(rng.choice([0, 1, 2]))
            seconds = round(float(rng.uniform(8, 90)), 2)
            votes.append(vote(pair.item, rater, choice, seconds=seconds, origin=origin(rater)))
    return votes


def won(packet, item, choice):
    return (
        0.5
        if choice == 0
        else float((packet.keys[item].first, packet.keys[item].second)[choice - 1] != "teacher")
    )


def by_loops(packet, votes, model="student"):
    """Each pair's value for the model: its majority, a split is equal."""
    values = {}
    for pair in packet.pairs:
        key = packet.keys[pair.item]
        if key.gold is None and model in (key.first, key.second):
            given = [v.choice for v in votes if v.item == pair.item]
            if len(given) >= packet.facts.ratings:
                counts = [given.count(c) for c in (0, 1, 2)]
                top = [c for c in (0, 1, 2) if counts[c] == max(counts)]
                values[pair.item] = won(packet, pair.item, top[0] if len(top) == 1 else 0)
    return values


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def test_majorities_rates_and_spread_by_loops(tmp_path, rng):
    packet = made(tmp_path / "p", 20, ("student", "small"), same_length=False)
    votes = voted(packet, rng)
    found = rated(packet, votes)
    for model in found.models:
        name = "student" if model.report.subject.role == "student" else "small"
        values = list(by_loops(packet, votes, name).values())
        report = model.report
        assert report.subject == SUBJECTS[name]
        assert (report.against, report.judge, report.orders) == ("teacher", "human raters", "one")
        assert report.win_rate.value == pytest.approx(np.mean(values))
        assert model.sd == pytest.approx(np.std(values, ddof=1))
        assert (report.wins, report.losses, report.ties) == (
            values.count(1),
            values.count(0),
            values.count(0.5),
        )
        assert report.length_controlled.n == 20
        own = [v for v in votes if v.item[:2] == name[:2]]
        singles = [
            np.mean([won(packet, v.item, v.choice) for v in own if v.item == item])
            for item in {v.item for v in own}
        ]
        assert model.votes_rate.value == pytest.approx(np.mean(singles))
        assert model.sheets[0].measure == "preference"
        assert [row.category for row in model.categories] == ["a", "b"]
        rows = by_loops(packet, votes, name).items()
        half = [value for item, value in rows if int(item[2:]) % 2 == 0]
        assert model.categories[0].value == pytest.approx(np.mean(half))
    assert found.agreement.ratings == len(votes) == 120


def test_position_of_majorities_and_of_votes(tmp_path, rng):
    settled = [
        Settled(prompt=f"S{k}", first="teacher", second="student", second_wins=0.5)
        for k in range(9)
    ]
    packet = made(tmp_path / "p", 30, settled=settled)
    votes = [
        vote(p.item, n, 1 if n or k % 5 else 2)
        for k, p in enumerate(packet.pairs)
        for n in range(3)
    ]
    (model,) = rated(packet, votes).models
    shares = {True: [], False: []}
    for pair in packet.pairs:
        mine = [v.choice == 1 for v in votes if v.item == pair.item]
        shares[packet.keys[pair.item].first == "student"].append(np.mean(mine))
    expected = np.mean([np.mean(part) for part in shares.values()])
    assert model.votes_first.value == pytest.approx(expected)
    assert model.report.first_position.value == 1.0  # the settled ties are not in it
    assert any("first answer shown won" in bias for bias in model.report.biases)
    assert model.report.win_rate.n == 39


def test_pairs_without_all_their_ratings(tmp_path):
    settled = [
        Settled(prompt="S1", first="student", second="teacher", second_wins=0.5),
        Settled(prompt="S2", first="student", second="teacher", second_wins=None, reason="refused"),
    ]
    packet = made(tmp_path / "p", 4, settled=settled)
    items = [pair.item for pair in packet.pairs]
    votes = [vote(items[0], r, c) for r, c in enumerate((0, 1, 2))]
    votes += [vote(items[1], r, 1) for r in range(2)]
    votes += [vote(items[2], r, c) for r, c in enumerate((2, 2, 1, 1))]
    (model,) = rated(packet, votes).models
    assert model.report.reasons == {"2 of 3 ratings": 1, "0 of 3 ratings": 1, "refused": 1}
    assert (model.report.ties, model.report.win_rate.n, model.report.win_rate.unscored) == (3, 3, 3)
    (model,) = rated(packet, votes, partial=True).models
    assert model.report.reasons == {"0 of 3 ratings": 1, "refused": 1}
    assert model.report.win_rate.value == (1.5 + won(packet, items[1], 1)) / 4
    told = results_json(rated(packet, votes))
    assert (told["complete"], told["pairs"], told["more_than_wanted"], told["settled"]) == (
        2,
        4,
        1,
        2,
    )
    assert told["majority"] == {"tie": 2, "first": 0, "second": 0}
    text = results_text(rated(packet, votes))
    for words in (
        "counts as equal",
        "1 unscored: 2 of 3 ratings",
        "2 prompts left out when packed: coding",
        "1 pairs of equal answers (ties), 1 that could not be shown",
    ):
        assert words in text


def test_no_votes_at_all(tmp_path):
    found = rated(made(tmp_path / "p", 3), [])
    assert found.models[0].report.win_rate.value is None
    assert found.models[0].sd is None
    assert "undefined" in results_text(found)
    write_rated(tmp_path / "out", found)
    assert (tmp_path / "out/votes.csv").read_text("utf-8").startswith('"item","prompt"')


def test_a_spammer_is_named_and_left_out_when_asked(tmp_path, rng):
    packet = made(tmp_path / "p", 60, gold=10)
    votes = voted(packet, rng, skill=0.9, spammers={4})
    kept, without = rated(packet, votes), rated(packet, votes, without_failing=True)
    assert kept.failing == without.failing == ("4",)
    honest = [v for v in votes if v.rater != "4"]
    for found in (kept, without):
        (model,) = found.models
        assert model.with_failing.value == pytest.approx(
            np.mean(list(by_loops(packet, votes).values()))
        )
        some = packet.facts.model_copy(update={"ratings": 1})
        left = by_loops(type(packet)(some, packet.pairs, packet.keys), honest)
        assert len(left) == 60  # each still counts, with the ratings that are left
        assert model.without_failing.value == pytest.approx(np.mean(list(left.values())))
    assert kept.models[0].report.win_rate.value == kept.models[0].with_failing.value
    assert without.models[0].report.win_rate.value == without.models[0].without_failing.value
    assert without.agreement.ratings == len([v for v in honest if v.item[0] != "g"])
    assert without.agreement.alpha.value > kept.agreement.alpha.value
    assert "Left out: the votes of 4" in results_text(without)
    assert "Counted, although they failed attention checks: the votes of 4." in results_text(kept)
    assert "rater 4: " in results_text(kept)


def test_the_planned_number_of_prompts_tells_a_difference(rng):
    """Raters of one prompt share its beta-distributed leaning, as the plan's model has it."""
    rate, rho = 0.65, 0.42
    prompts = prompts_needed(rate, Design(agreement=rho))
    told = false = 0
    for mean in [rate] * 40 + [0.5] * 40:
        leaning = rng.beta(mean * (1 - rho) / rho, (1 - mean) * (1 - rho) / rho, prompts)
        wins = rng.random((3, prompts)) < leaning
        values = np.array([SECOND_WINS[majority(list(votes))] for votes in np.where(wins, 2, 1).T])
        number = mean_of(values, drawn(prompts, [told, false, 3]), 0, [0])
        told += mean > 0.5 and number.low > 0.5
        false += mean == 0.5 and not number.low <= 0.5 <= number.high
    assert told >= 24  # of 40 at power 0.8: fewer once in 1,000 times
    assert false <= 7  # of 40 at 5 %: more once in 1,000 times


def test_origins_beside_each_other(tmp_path, rng):
    packet = made(tmp_path / "p", 25)
    votes = voted(packet, rng, origin=lambda rater: "mturk" if rater % 2 else "private")
    found = rated(packet, votes)
    (model,) = found.models
    means = {}
    for v in votes:
        means.setdefault((v.origin, v.item), []).append(won(packet, v.item, v.choice))
    for rate in model.origins:
        own = [np.mean(value) for (origin, _), value in means.items() if origin == rate.origin]
        assert (rate.rate.n, rate.rate.value) == (len(own), pytest.approx(np.mean(own)))
        assert rate.votes == sum(v.origin == rate.origin for v in votes)
        assert rate.raters == 3
    (gap,) = model.differences
    both = [i for i in packet.keys if ("mturk", i) in means and ("private", i) in means]
    gaps = [np.mean(means["mturk", i]) - np.mean(means["private", i]) for i in both]
    assert (gap.one, gap.other, gap.difference.n) == ("mturk", "private", len(both))
    assert gap.difference.value == pytest.approx(np.mean(gaps))
    assert gap.difference.low < gap.difference.value < gap.difference.high
    (across,) = found.across
    same = []
    for item in both:
        sides = [
            [v.choice for v in votes if v.item == item and v.origin == o]
            for o in ("mturk", "private")
        ]
        same.append(np.mean([a == b for a in sides[0] for b in sides[1]]))
    assert across.agreement.agree.value == pytest.approx(np.mean(same))
    assert "mturk − private: " in results_text(found)
    assert [one.origin for one in found.within] == ["mturk", "private"]


def test_a_judge_on_the_same_pairs(tmp_path, rng):
    packet = made(tmp_path / "p", 30)
    votes = voted(packet, rng, skill=0.9)
    judge, expected = [], {}
    for k in range(30):
        one, two = rng.choice([0.0, 0.5, 1.0], 2)  # how far the student won, by order
        if k < 28:
            judge.append(
                Comparison(
                    prompt=f"Q{k}", first="teacher", second="quokka", second_wins=one, judge="J"
                )
            )
            judge.append(
                Comparison(
                    prompt=f"Q{k}", first="quokka", second="teacher", second_wins=1 - two, judge="J"
                )
            )
            expected[f"st{k:04}"] = one if one == two else 0.5
    judge.append(
        Comparison(
            prompt="Q28", first="zebra", second="student", second_wins=None, reason="no", judge="J"
        )
    )
    judge.append(
        Comparison(prompt="else", first="zebra", second="student", second_wins=1.0, judge="J")
    )
    found = rated(packet, votes, judge=judge)
    (beside,) = found.models[0].judges
    people = by_loops(packet, votes)
    mine, theirs = ([2 * values[item] for item in expected] for values in (people, expected))
    assert beside.between.kappa.value == pytest.approx(cohen_kappa_score(mine, theirs), abs=1e-12)
    assert beside.between.agree.value == pytest.approx(np.mean(np.array(mine) == theirs))
    assert (beside.between.agree.n, beside.between.agree.unscored) == (28, 2)
    assert beside.difference.value == pytest.approx(np.mean(mine) / 2 - np.mean(theirs) / 2)
    table = Counter(zip(mine, theirs, strict=True))
    assert [list(row) for row in beside.between.table] == [
        [table[a, b] for b in (2, 1, 0)] for a in (2, 1, 0)
    ]
    assert "1 verdicts of the judge are on pairs that raters were not shown" in results_text(found)
    told = results_json(found)["models"][0]["judges"][0]
    assert told["table"]["raters won"]["judge lost"] == table[2, 0]
    with pytest.raises(InputError, match="Two verdicts of the judge are on student and teacher"):
        rated(packet, votes, judge=[*judge, judge[1]])
    with pytest.raises(InputError, match="none of the pairs"):
        rated(packet, votes, judge=judge[-1:])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_the_same_whatever_the_order_of_votes(tmp_path, rng):
    packet = made(tmp_path / "p", 10, ("student", "small"), gold=3)
    votes = voted(packet, rng, origin=lambda rater: "prolific" if rater > 2 else "private")
    for name, given in (("one", votes), ("two", [votes[k] for k in rng.permutation(len(votes))])):
        write_rated(tmp_path / name, rated(packet, given))
    assert set(contents(tmp_path / "one")) == set(FILES)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    write_rated(tmp_path / "one", rated(packet, votes[:-3]))  # the same study, told again
    assert contents(tmp_path / "one") != contents(tmp_path / "two")
    out = tmp_path / "two"
    sheets = list(read_rows(out / "sheets.jsonl", ScoreSheet))
    assert {(s.measure, s.metric, s.against) for s in sheets} == {
        ("preference", "win_rate", "teacher"),
        ("preference", "win_or_tie_rate", "teacher"),
    }
    assert len(list(read_rows(out / "preferences.jsonl", PreferenceReport))) == 2
    assert len(list(read_rows(out / "comparisons.jsonl", Comparison))) == 20
    told = json.loads((out / "results.json").read_text("utf-8"))
    assert told["votes_on_checks"] == 18
    assert "pairs" not in told["agreement"]
    assert "pairs" in json.loads((out / "agreement.json").read_text("utf-8"))["agreement"]
    other = rated(made(tmp_path / "q", 5), [])
    with pytest.raises(RunFolderError, match="other files"):
        write_rated(out, other)


HOSTILE = ['=HYPERLINK("http://x","y")', "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1+1", "＝1", "\ufeff=2", "a\n=b", 'q"q', "fine, so", ";=1", "-", " "]  # fmt: skip


def test_spreadsheets_run_nothing_that_a_rater_wrote(tmp_path):
    packet = made(tmp_path / "p", len(HOSTILE))
    votes = [vote(p.item, 1, 1, reason=text) for p, text in zip(packet.pairs, HOSTILE, strict=True)]
    write_rated(tmp_path / "out", rated(packet, votes))
    with (tmp_path / "out/votes.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["reason"].removeprefix("'") for row in rows] == HOSTILE
    for name in ("votes.csv", "raters.csv"):
        with (tmp_path / "out" / name).open(encoding="utf-8", newline="") as lines:
            for cell in (cell for row in csv.reader(lines) for cell in row):
                assert not cell.lstrip(" \ufeff")[:1].startswith(tuple("=+-@\t\r＝"))
        text = (tmp_path / "out" / name).read_text("utf-8")
        assert text.startswith('"')
        assert '";=1"' in text or name == "raters.csv"
    again = [json.loads(line) for line in (tmp_path / "out/votes.jsonl").open(encoding="utf-8")]
    assert [row["reason"] for row in again] == HOSTILE
    assert again[0]["preferred"] == again[0]["model_1"]


def test_votes_are_read_back_as_recorded(tmp_path, rng):
    packet = made(tmp_path / "p", 20, ("student", "small"), gold=4, same_length=False)
    votes = voted(packet, rng, spammers={5})
    first = rated(packet, votes)
    write_rated(tmp_path / "out", first)
    again = rated_recorded([tmp_path / "out/votes.jsonl"])
    assert again.votes == first.votes
    assert again.failing == first.failing
    assert again.agreement == first.agreement
    before = {
        ("student" if m.report.subject.role == "student" else "small"): m for m in first.models
    }
    for model in again.models:
        same = before[model.report.subject.model]
        for name in ("win_rate", "length_controlled", "first_position", "wins", "ties"):
            assert getattr(model.report, name) == getattr(same.report, name)
        assert model.report.against == "teacher"
    judge = tmp_path / "out/judge.jsonl"
    rows = [one.model_copy(update={"judge": "J"}).model_dump_json() for one in first.comparisons]
    judge.write_text("\n".join(rows))
    beside = rated_recorded([judge, tmp_path / "out/votes.jsonl"]).judges
    assert [one.between.agree.value for one in beside] == [1.0]


def test_votes_of_two_servers_are_put_together(tmp_path, rng):
    packet = made(tmp_path / "p", 8, gold=2)
    halves = []
    for name in ("one", "two"):
        votes = voted(packet, rng, raters=3, origin=lambda rater: "mturk")
        write_rated(tmp_path / name, rated(packet, votes))
        halves.append(votes)
    files = [tmp_path / name / "votes.jsonl" for name in ("one", "two")]
    for merged in (import_votes(packet, files), import_votes(packet, files[1:], stores=halves[:1])):
        found = rated(packet, merged)
        assert {one.rater for one in found.raters} == {f"{k}-{n}" for k in (1, 2) for n in range(3)}
        assert {v.origin for v in merged} == {"mturk"}
        assert len(merged) == sum(map(len, halves))
        assert results_json(found)["more_than_wanted"] == 8
    assert {v.rater for v in import_votes(packet, files[:1])} == {"0", "1", "2"}
    with pytest.raises(InputError, match="hold the same votes"):
        import_votes(packet, files[:1], stores=halves[:1])
    with pytest.raises(InputError, match="on another packet"):
        import_votes(made(tmp_path / "q", 3, ("small",)), files)
    doubled = tmp_path / "doubled.jsonl"
    doubled.write_text(files[0].read_text("utf-8") * 2)
    with pytest.raises(InputError, match="has two votes on"):
        import_votes(packet, [doubled])


def test_wrong_input_is_said(tmp_path):
    packet = made(tmp_path / "p", 2)
    with pytest.raises(InputError, match="which is not in what was shown"):
        rated(packet, [vote("nowhere", 1, 1)])
    with pytest.raises(InputError, match="two votes"):
        rated(packet, [vote(packet.pairs[0].item, 1, 1)] * 2)
    odd = tmp_path / "odd.jsonl"
    odd.write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="no votes in the fields a"):
        rated_recorded([odd])
    odd.write_text('{"idx": 1, "gpt_result": "1"}\n')
    with pytest.raises(InputError, match="No file holds votes"):
        rated_recorded([odd])
    row = {"item": "a", "choice": 3, "rater": "1", "model_1": "x", "model_2": "y"}
    odd.write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match="line 1: not a vote"):
        rated_recorded([odd])


def columns(path, votes, **more):
    rows = [
        {"idx": k, "cmp_key": "a_b", "instruction": f"Q{k}"}
        | {f"annotator{n}": v for n, v in enumerate(row, 1)}
        | more
        for k, row in enumerate(votes)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_two_files_of_columns_are_different_items_and_people(tmp_path):
    one = columns(tmp_path / "one.jsonl", [(1, 1), (2, 0)])
    two = columns(tmp_path / "two.jsonl", [(2, 2)], cmp_key="a_c")
    found = rated_recorded([one, two])
    assert [m.report.subject.model for m in found.models] == ["b", "c"]
    assert {sheet.measure for m in found.models for sheet in m.sheets} == {"preference"}
    assert len({one.rater for one in found.raters}) == 4
    assert results_json(found)["pairs"] == 3
    judge = tmp_path / "judge.jsonl"
    judge.write_text('{"idx": 0, "gpt_result": "1"}\n')
    with pytest.raises(InputError, match="stands on 2 items"):
        rated_recorded([one, two, judge])
    with pytest.raises(InputError, match="given twice"):
        rated_recorded([one, one])


@pytest.mark.skipif(not HUMAN.exists(), reason="the shared data are not here")
def test_real_votes_and_a_real_judge(tmp_path):
    with gzip.open(HUMAN / "pandalm_3raters_part.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    votes = tmp_path / "votes.jsonl"  # without the 50 categories, whose intervals take seconds
    votes.write_text("".join(json.dumps(row | {"motivation_app": ""}) + "\n" for row in rows))
    files = [votes, HUMAN / "pandalm_gpt35_judge_part.jsonl.gz"]
    found = rated_recorded(files)
    told = results_json(found)
    assert told["majority"] == {"tie": 50, "first": 201, "second": 266}
    assert (told["unanimous"], told["pairs"], told["votes"]) == (465, 517, 1551)
    theirs = recorded_verdicts(files)
    assert found.judges[0].between.agree.value == pytest.approx(theirs.agreement)
    reports = {
        (p.report.subject.model, p.report.against): p for p in theirs.pairs if p.kind == "votes"
    }
    assert len(reports) == len(found.models) == 5
    for model in found.models:
        other = reports[model.report.subject.model, model.report.against].report
        assert model.report == other.model_copy(update={"agreement": model.agreement.alpha})
        values = [value for value in model.sheets[0].values if value is not None]
        mean = sum(values) / len(values)
        sd = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
        assert (model.report.win_rate.value, model.sd) == pytest.approx((mean, sd))
    assert not any("leans" in note for one in found.raters for note in one.notes)
