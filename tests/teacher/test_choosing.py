import json
from types import SimpleNamespace

import numpy
import pytest
from rouge_score.rouge_scorer import RougeScorer

from veneer.errors import InputError
from veneer.models.asking import Ask, Reply
from veneer.models.local import LocalModel
from veneer.records import Answer, Dropped, Prompt, read_rows, write_rows
from veneer.teacher.choosing import choose, chosen
from veneer.teacher.ridge import FEWEST, PENALTIES, fit_ridge, foretell, unigram_f1
from veneer.teacher.uncertainty import Own, own_answers

POOL = [Prompt(text=f"topic{i} word{i} thing{i}", category=f"c{i % 2}") for i in range(40)]


def own(surprise, entropy=0.0, text="x", tokens=1):
    return Own(Reply(text), surprise, entropy, tokens)


def by_number(questions):
    """Surprise grows with the prompt's number, entropy falls."""
    numbers = [int(q.split()[0].removeprefix("topic")) for q in questions]
    return [own(float(n), -float(n)) for n in numbers]


def texts(choice):
    return [prompt.text for prompt, _ in choice.chosen]


def test_the_highest_come_first_and_the_asked_never():
    asked = [Answer(prompt=POOL[39].text, text="a", model="t")]
    choice = chosen(POOL, asked, by="uncertainty", count=3, ask=by_number)
    assert texts(choice) == [POOL[k].text for k in (38, 37, 36)]
    assert [score for _, score in choice.chosen] == [38.0, 37.0, 36.0]
    choice = chosen(POOL, asked, by="entropy", count=3, ask=by_number)
    assert texts(choice) == [POOL[k].text for k in (0, 1, 2)]
    assert choice.counts() == {
        "pool": 40,
        "asked": 1,
        "chosen": 3,
        "passed": 0,
        "unscored": 0,
        "left": 36,
    }


def test_a_larger_count_begins_with_the_smaller_one():
    few, many = (chosen(POOL, [], by="random", count=n, seed=7) for n in (5, 20))
    assert texts(few) == texts(many)[:5]
    assert len(set(texts(many))) == 20
    other = chosen(POOL, [], by="random", count=20, seed=8)
    assert texts(other) != texts(many)
    every = chosen(POOL, [], by="random", count=99)
    assert sorted(texts(every)) == sorted(p.text for p in POOL)


def test_near_equal_prompts_are_passed_over_with_a_reason():
    base = "one two three four five six seven eight nine ten eleven"
    twins = [base, base + " twelve", base.replace("one", "uno"), "something else entirely"]
    pool = [Prompt(text=t) for t in twins]
    choice = chosen(
        pool, [], by="uncertainty", count=4, ask=lambda q: [own(4.0 - k) for k in range(4)]
    )
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    alike = [scorer.score(base, t)["rougeL"].fmeasure > 0.9 for t in twins]
    assert alike == [True, True, True, False]
    assert texts(choice) == [base, "something else entirely"]
    assert [d.text for d in choice.passed] == twins[1:3]
    asked = [Answer(prompt=base, text="", model="t", outcome="failed", reason="x")]
    assert texts(chosen(pool, asked, by="random", count=4)) == ["something else entirely"]
    assert len(texts(chosen(pool, [], by="random", count=4, similar=1))) == 4


def test_a_balanced_choice_keeps_the_categories_shares():
    pool = [Prompt(text=p.text, category="a" if k < 10 else "b") for k, p in enumerate(POOL)]
    choice = chosen(pool, [], by="uncertainty", count=9, balance=True, ask=by_number)
    # 10 of 40 are "a": 2.25 of 9, the others 6.75; the highest numbers of each.
    numbers = sorted(int(text.split()[0].removeprefix("topic")) for text in texts(choice))
    assert numbers == [8, 9, 33, 34, 35, 36, 37, 38, 39]
    # Where near-equal ones leave a category short, others come instead.
    twins = [Prompt(text=f"all the same words here {end}", category="a") for end in (".", "!")]
    choice = chosen([*twins, *POOL[:2]], [], by="random", count=4, balance=True)
    assert len(choice.chosen) == 3
    assert len(choice.passed) == 1
    assert choice.counts()["left"] == 0


def test_what_the_student_says_nothing_to_is_not_ranked():
    def ask(questions):
        return [own(None, None) if k % 2 else own(1.0) for k in range(len(questions))]

    choice = chosen(POOL, [], by="uncertainty", count=99, ask=ask)
    assert len(choice.chosen) == len(choice.unscored) == 20
    assert {d.reason for d in choice.unscored} == {"the student said nothing"}


def test_leave_one_out_is_what_leaving_out_gives():
    rng = numpy.random.default_rng(0)
    x = rng.normal(size=(25, 4))
    y = x @ [1.0, -2.0, 0.0, 0.5] + rng.normal(size=25)
    penalty, held_out, weights, offset = fit_ridge(x, y)

    def solved(rows, values, amount):
        # Ridge as least squares with extra rows; the intercept is not penalised.
        center = rows.mean(axis=0)
        a = numpy.vstack([rows - center, numpy.sqrt(amount) * numpy.eye(4)])
        b = numpy.concatenate([values - values.mean(), numpy.zeros(4)])
        w = numpy.linalg.lstsq(a, b, rcond=None)[0]
        return w, values.mean() - center @ w

    def left_out(amount):
        found = []
        for k in range(25):
            keep = numpy.arange(25) != k
            w, c = solved(x[keep], y[keep], amount)
            found.append(x[k] @ w + c)
        return numpy.array(found)

    errors = {amount: ((left_out(amount) - y) ** 2).mean() for amount in PENALTIES}
    assert penalty == min(errors, key=errors.get)
    numpy.testing.assert_allclose(held_out, left_out(penalty), rtol=1e-8)
    w, c = solved(x, y, penalty)
    numpy.testing.assert_allclose([*weights, offset], [*w, c], rtol=1e-8)


def test_disagreement_is_foretold_where_it_can_be():
    rng = numpy.random.default_rng(1)

    def answers(n, says):
        asked, mine = [], []
        for k in range(n):
            surprise = float(rng.uniform(0, 2))
            shared = round(10 * (1 - surprise / 2))
            said = ["w"] * shared + ["mine"] * (10 - shared)
            asked.append(Answer(prompt=f"q{k}", text=" ".join(["w"] * 10), model="t", category="c"))
            mine.append(own(surprise, 0.0, " ".join(said) if says else "w"))
        return asked, mine

    asked, mine = answers(60, True)
    new = [own(s) for s in (0.1, 1.0, 1.9)]
    told = foretell(asked, mine, [Prompt(text="q", category="c")] * 3, new)
    assert told.held_out_r > 0.95
    numpy.testing.assert_allclose(told.scores, [0.05, 0.5, 0.95], atol=0.06)
    assert told.mean == pytest.approx(
        numpy.mean([1 - unigram_f1(a.text, o.reply.text) for a, o in zip(asked, mine, strict=True)])
    )
    # A category that was never asked, and a prompt to which the student says nothing.
    more = foretell(asked, mine, [Prompt(text="q", category="z")] * 2, [own(1.0), own(None, None)])
    assert more.scores[1] is None
    assert 0 <= more.scores[0] <= 1
    asked, mine = answers(FEWEST - 1, True)
    with pytest.raises(InputError, match=f"{FEWEST - 1} prompts were answered"):
        foretell(asked, mine, [], [])


def test_choosing_by_disagreement_prefers_what_is_like_the_worst_asked():
    pool = [Prompt(text=f"p{i}", category="hard" if i % 3 == 0 else "easy") for i in range(60)]
    asked = [
        Answer(
            prompt=p.text,
            text="totally other" if p.category == "hard" else "x",
            model="t",
            category=p.category,
        )
        for p in pool[:30]
    ]
    choice = chosen(pool, asked, by="disagreement", count=10, ask=lambda q: [own(1.0)] * len(q))
    assert {p.category for p, _ in choice.chosen} == {"hard"}
    assert choice.foretold.n == 30


def test_unigram_f1_by_hand():
    assert unigram_f1("The cat sat", "the cat, the dog") == pytest.approx(4 / 7)
    assert unigram_f1("", "...") == 1.0
    assert unigram_f1("a", "") == 0.0


# ---- a real student --------------------------------------------------------------------------


QUESTIONS = ["who ran", "who sat : dog", "cat cat", "flew", "Q A Q", "dog who flew sat ran"]


def test_uncertainty_is_that_of_the_answers_own_tokens(chatty):
    import torch

    model = LocalModel.load(chatty)
    outcomes = set()
    for limit in (3, 40):
        for question, own_ in zip(
            QUESTIONS, own_answers(model, QUESTIONS, max_new_tokens=limit), strict=True
        ):
            (said,) = model.ask([Ask.of(question)], max_new_tokens=limit)
            assert own_.reply == said
            outcomes.add(said.outcome)
            before = model.prompt_ids([question])[0]
            ids = model.encode(said.text)
            if said.outcome != "truncated":
                ids = [*ids, *model.encode("<|end|>")]
            assert own_.tokens == len(ids)
            if not ids:
                assert own_.surprise is own_.entropy is None
                continue
            ((total, _),) = model.loglikelihoods([(before, ids)])
            assert own_.surprise == pytest.approx(-total / len(ids), abs=1e-5)
            with torch.inference_mode():
                logits = model.model(torch.tensor([[*before, *ids]])).logits[0].double()
            dist = torch.distributions.Categorical(logits=logits[len(before) - 1 : -1])
            assert own_.entropy == pytest.approx(float(dist.entropy().mean()), abs=1e-5)
    assert "truncated" in outcomes


def run(tmp_path, name, inputs, **params):
    out = tmp_path / name
    out.mkdir()
    choose(
        SimpleNamespace(
            out=out,
            params={"by": "random", "count": 3, "seed": 0} | params,
            inputs=inputs,
            progress=lambda *told: None,
        )
    )
    return out


def test_the_step_with_a_real_student(tmp_path, chatty):
    pool = [Prompt(text=q, category="c", source="s") for q in [*QUESTIONS, QUESTIONS[0]]]
    write_rows(tmp_path / "prompts.jsonl", pool)
    asked = [Answer(prompt=QUESTIONS[0], text="x", model="t")]
    write_rows(tmp_path / "answers.jsonl", asked)
    inputs = {"prompts": tmp_path, "answers0": tmp_path, "student": chatty}
    out = run(tmp_path, "out", inputs, by="uncertainty", max_new_tokens=6)
    model = LocalModel.load(chatty)
    told = {
        q: o.surprise
        for q, o in zip(
            QUESTIONS[1:], own_answers(model, QUESTIONS[1:], max_new_tokens=6), strict=True
        )
        if o.surprise is not None
    }
    best = sorted(told, key=told.get, reverse=True)[:3]
    assert [p.text for p in read_rows(out / "prompts.jsonl", Prompt)] == best
    rows = [json.loads(line) for line in (out / "chosen.jsonl").open()]
    assert [row["rank"] for row in rows] == [0, 1, 2]
    assert [row["score"] for row in rows] == pytest.approx([told[q] for q in best], abs=1e-6)
    about = json.loads((out / "choice.json").read_text())
    assert (about["by"], about["pool"], about["asked"], about["chosen"]) == ("uncertainty", 6, 1, 3)
    dropped = list(read_rows(out / "dropped.jsonl", Dropped))
    assert about["passed"] + about["unscored"] == len(dropped)
    # At random no student is needed, and the choice is one that collecting can ask.
    plain = run(tmp_path, "plain", {"prompts": tmp_path}, count=99)
    assert len(list(read_rows(plain / "prompts.jsonl", Prompt))) == 6


def test_what_cannot_be_chosen_by(tmp_path):
    write_rows(tmp_path / "prompts.jsonl", POOL)
    with pytest.raises(InputError, match="Cannot choose by 'uncertain'") as error:
        run(tmp_path, "a", {"prompts": tmp_path}, by="uncertain")
    assert "'uncertainty'" in error.value.hint
    with pytest.raises(InputError, match=r"nowhere.*does not exist"):
        run(tmp_path, "b", {"prompts": tmp_path / "nowhere"})
