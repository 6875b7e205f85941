"""What the teacher prefers, counted by hand; rows on disk; an endpoint that judges."""

import json
from collections import Counter

import pytest
import torch

from api_server import start
from veneer.errors import InputError, StepFailed
from veneer.models.asking import Reply
from veneer.models.local import LocalModel
from veneer.records import Answer, Dialogue, Message, Prompt, read_rows, write_rows
from veneer.steps import Job
from veneer.student.refine import Pair, Unpaired, read_refinement, refine
from veneer.student.refine.asked import drawn, read_prompts
from veneer.student.refine.preference import compared
from veneer.student.refine.ranking import by_judgement, by_likelihood, candidates, verdict


class Judge:
    """Answers by a rule from the two answers that it is shown."""

    name = "judge"

    def __init__(self, rule):
        self.rule, self.asked = rule, 0

    def ask(self, asks, *, max_new_tokens, temperature=0.0, seed=0, progress=None):
        self.asked += len(asks)
        shown = []
        for ask in asks:
            text = ask.messages[-1].content
            shown.append(
                tuple(text.split(f"<answer {x}>\n")[1].split(f"\n</answer {x}>")[0] for x in "AB")
            )
        return [self.rule(a, b) for a, b in shown]


def longer(a, b):
    return Reply("A" if len(a) > len(b) else "B" if len(b) > len(a) else "T")


def answers(prompt, *texts):
    return [
        Answer(
            prompt=prompt,
            text=text,
            model="student",
            sample=i,
            outcome="answered" if text else "empty",
            reason="" if text else "ended without a word",
        )
        for i, text in enumerate(texts)
    ]


ASKED = [
    *answers("one", "dog", "the dog", "dog", ""),
    *answers("two", "cat", "cat", "cat", "cat"),
    *answers("three", "", "", "", ""),
    *answers("four", "sat on", "sat", "ran to"),
    *answers("five", "cat", "dog"),
]


def test_only_different_answers_that_ended_are_compared():
    assert candidates(ASKED) == [
        ("one", ["dog", "the dog"]),
        ("two", ["cat"]),
        ("three", []),
        ("four", ["sat on", "sat", "ran to"]),
        ("five", ["cat", "dog"]),
    ]


def test_a_judge_is_asked_in_both_orders_and_what_it_does_not_decide_has_a_reason():
    judge = Judge(longer)
    rows = by_judgement(judge, candidates(ASKED), 16)
    assert judge.asked == 2 * (1 + 2 + 1)
    assert rows == [
        Pair(prompt="one", chosen="the dog", rejected="dog", verdicts=("A", "B")),
        Unpaired(prompt="two", reason="fewer than two different answers ended", answers=("cat",)),
        Unpaired(prompt="three", reason="no answer came to its end"),
        Pair(prompt="four", chosen="sat on", rejected="sat", verdicts=("A", "B")),
        Unpaired(
            prompt="four",
            reason="the judge finds neither better",
            answers=("ran to", "sat on"),
            verdicts=("T", "T"),
        ),
        Unpaired(
            prompt="five",
            reason="the judge finds neither better",
            answers=("cat", "dog"),
            verdicts=("T", "T"),
        ),
    ]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (lambda a, b: Reply("A"), "the verdict changes with the order"),
        (lambda a, b: Reply("T"), "the judge finds neither better"),
        (lambda a, b: Reply("Both are fine."), "a verdict names no answer, or both"),
        (
            lambda a, b: Reply("", "filtered", "stopped by the provider's content filter"),
            "the judge did not answer: filtered",
        ),
    ],
)
def test_no_preference_at_all_fails_with_counts(rule, reason):
    refinement = read_refinement({"by": "preference", "prompts": 5})
    with pytest.raises(StepFailed) as caught:
        compared(Judge(rule), ASKED, refinement, None)
    assert "None of 5 prompts gave a preference" in caught.value.message
    assert f"{reason}: 4" in caught.value.message
    assert "fewer than two different answers ended: 1" in caught.value.message
    assert "no answer came to its end: 1" in caught.value.message


def test_a_budget_that_ends_is_no_verdict():
    refinement = read_refinement({"by": "preference", "prompts": 5})
    with pytest.raises(StepFailed, match="0 of 8 answers were collected"):
        compared(Judge(lambda a, b: None), ASKED, refinement, None)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("A", "A"),
        ("B.", "B"),
        ("**B**", "B"),
        ("[[A]]", "A"),
        ("T", "T"),
        ("A, because B is wrong", "A"),
        ("B\nA is wrong.", "B"),
        ("Answer B is better.", "B"),
        ("A better answer is B", ""),
        ("A or B?", ""),
        ("the first", ""),
        ("Both", ""),
        ("", ""),
    ],
)
def test_a_verdict_is_read_only_where_it_leaves_no_doubt(said, meant):
    assert verdict(said) == meant


def test_likelihood_is_the_mean_log_probability_under_the_teacher(teacher, questions):
    model = LocalModel.load(teacher)
    texts = ["the cat sat", "dog", "mat log sky over the mat"]
    asked = [(question, texts) for question in questions(5)]
    rows = by_likelihood(model, asked)
    for (question, _), row in zip(asked, rows, strict=True):
        means = {}
        for text in texts:
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": text}]
            template = model.tokenizer.apply_chat_template
            whole = template(turns, return_dict=False)
            before = template(turns[:1], add_generation_prompt=True, return_dict=False)
            with torch.no_grad():
                chances = model.model(torch.tensor([whole])).logits[0].double().log_softmax(-1)
            total = sum(chances[i - 1, whole[i]].item() for i in range(len(before), len(whole)))
            means[text] = total / (len(whole) - len(before))
        best, worst = max(means, key=means.get), min(means, key=means.get)
        assert (row.chosen, row.rejected) == (best, worst)
        assert row.scores == pytest.approx((means[best], means[worst]), abs=1e-5)


def test_prompts_come_from_a_pool_or_from_what_a_corpus_asks(tmp_path):
    said = Message(role="assistant", content="yes")
    rows = [
        Dialogue(messages=(Message(role="user", content=text), said), source="web")
        for text in ("one?", "two?", "one?")
    ]
    rows.append(Dialogue(messages=(said,), source="replay"))
    write_rows(tmp_path / "corpus.jsonl", rows)
    prompts = read_prompts(tmp_path)
    assert [(p.text, p.source) for p in prompts] == [("one?", "web"), ("two?", "web")]
    pool = [Prompt(text=str(i)) for i in range(50)]
    write_rows(tmp_path / "prompts.jsonl", pool)
    assert read_prompts(tmp_path) == read_prompts(tmp_path / "prompts.jsonl") == pool
    few, more = drawn(pool, 10, 3), drawn(pool, 20, 3)
    assert more[:10] == few
    assert drawn(pool, 20, 4) != more
    with pytest.raises(InputError, match="51 prompts are asked for, but there are 50"):
        drawn(pool, 51, 0)
    with pytest.raises(InputError, match="has no prompts"):
        read_prompts(tmp_path / "nowhere")


def test_a_wrong_option_is_named():
    with pytest.raises(InputError, match=r"refine\.by: .*'on-policy' or 'preference'"):
        read_refinement({"by": "dpo", "prompts": 3})
    with pytest.raises(InputError, match="beta: no option of on-policy"):
        read_refinement({"by": "on-policy", "prompts": 3, "beta": 0.5})
    with pytest.raises(InputError, match="divergence: no option of preference"):
        read_refinement({"by": "preference", "prompts": 3, "divergence": 0.5})
    round_trip = read_refinement({"by": "on-policy", "prompts": 3}).model_dump(mode="json")
    assert read_refinement(round_trip) == read_refinement({"by": "on-policy", "prompts": 3})


def test_an_endpoint_judges_and_is_asked_nothing_twice(student, pool, tmp_path, monkeypatch):
    monkeypatch.setenv("VENEER_JOURNAL", str(tmp_path / "journal.sqlite"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    def job(**refinement):
        given = {"by": "preference", "prompts": 10, "max_new_tokens": 8, **refinement}
        endpoint = {"model": "judge", "base_url": server.url}
        out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        return Job(
            out=out,
            params={"refinement": given, "seed": 0, "endpoint": endpoint},
            inputs={"student": student, "prompts": pool},
        )

    with start() as server:
        # It answers "echo …", which is no verdict: all is paid, and nothing comes of it.
        with pytest.raises(StepFailed, match="a verdict names no answer, or both: 12"):
            refine(job())
        bill = server.ledger()["billed"]
        assert len(bill) == 24, "twelve comparisons, both orders"
        with pytest.raises(StepFailed, match="None of 10 prompts gave a preference"):
            refine(job())
        assert server.ledger()["billed"] == bill
        with pytest.raises(InputError, match="tells no log-probability"):
            refine(job(criterion="likelihood"))
        with pytest.raises(InputError, match="needs the teacher's distributions"):
            refine(job(by="on-policy"))
        assert server.ledger()["billed"] == bill


def test_rows_on_disk_add_up(preferred):
    out, _ = preferred
    samples = list(read_rows(out / "samples.jsonl", Answer))
    pairs = list(read_rows(out / "pairs.jsonl", Pair))
    unpaired = list(read_rows(out / "unpaired.jsonl", Unpaired))
    facts = json.loads((out / "refine.json").read_text())
    assert len(samples) == facts["samples"]["asked"] == 4 * facts["prompts"] == 4 * 40
    assert (
        Counter(s.outcome for s in samples if s.outcome != "answered")
        == (facts["samples"]["left_out"])
    )
    assert len(pairs) == facts["pairs"]
    assert Counter(row.reason for row in unpaired) == facts["no_pair"]
    asked = {s.prompt for s in samples}
    assert {p.prompt for p in pairs} | {u.prompt for u in unpaired} == asked
    assert not {p.prompt for p in pairs} & {u.prompt for u in unpaired}
    said = {(s.prompt, s.text) for s in samples if s.outcome == "answered"}
    assert {(p.prompt, t) for p in pairs for t in (p.chosen, p.rejected)} <= said
    assert all(p.scores[0] > p.scores[1] for p in pairs)
