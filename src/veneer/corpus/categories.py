"""The categories of the paper's Table 5, by documented rules or by a judge model.

The paper labelled 50 ShareGPT queries by hand and defines no category; its Table 5 gives shares in
percent. The rules below are a cheap reading of the names, made for comparing corpora and not for
single rows: where two categories fit, the first rule decides, and a query that none fits has none.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from veneer.corpus.rows import queries
from veneer.models.asking import Ask, Model, Progress, Reply

if TYPE_CHECKING:
    import pyarrow as pa

PAPER = {
    "Generation": 31,
    "General QA": 16,
    "Coding": 16,
    "Brainstorming": 8,
    "Chat": 6,
    "Summarization": 4,
    "Rewrite": 2,
    "Non-English": 14,
    "Invalid": 2,
}
"""Table 5: percent of 50 ShareGPT queries. They add up to 99."""

EDGE = 300
"""Characters at either end of a query in which rules look for the instruction, so that a pasted
text between does not decide."""

_LANGUAGES = (
    r"python|java|javascript|typescript|c\+\+|c#|php|golang|rust|kotlin|swift|scala|ruby|perl|matlab|"
    r"sql|mysql|postgres\w*|sqlite|html5?|css|sass|react(?:[ .]?js)?|angular|vue(?:[ .]?js)?|"
    r"next[ .]?js|node[ .]?js|jquery|django|flask|fastapi|laravel|spring boot|\.net|pandas|numpy|"
    r"pytorch|tensorflow|keras|sklearn|docker\w*|kubernetes|terraform|nginx|bash|powershell|vba|"
    r"regex\w*|json|yaml|xml|graphql|mongodb|redis|arduino|verilog|solidity|pytest|webpack|npm|git|"
    r"github|gitlab|linux|ubuntu|vim|cypher|excel formula|google sheets?|apps? script|unity|unreal"
)
_RULES: tuple[tuple[str, str], ...] = (
    (
        "Coding",
        r"```|^\s*(?:#include\b|import [\w.{]|from [\w.]+ import |def \w+\(|class \w+[:({]|"
        r"public (?:class|static|void)|function \w*\(|const \w+ =|SELECT .+ FROM )|[;{}]\s*$",
    ),
    ("Coding", rf"(?<![\w.])(?:{_LANGUAGES})(?!\w)"),
    (
        "Coding",
        r"\b(?:source code|(?:write|create|give|make|need|fix|review|refactor|debug|explain|"
        r"check|read)\b[^.?!\n]{0,40}\b(?:code|script|program|function|query|algorithm|regex|app|bot)|"
        r"stack ?trace|compil\w+|syntax error|exception|null pointer|unit tests?|backend|frontend|"
        r"programming|codebase|coding|endpoint|middleware|data structures?)\b",
    ),
    (
        "Summarization",
        r"\b(?:summar(?:i[sz]\w*|y|ies)|tl;?dr|key takeaways|main points|condense|"
        r"bullet points? (?:of|from)|recap)\b",
    ),
    (
        "Rewrite",
        r"\b(?:re-?writ\w+|re-?phras\w+|paraphras\w+|reword\w*|proof-?read\w*|translat\w+|"
        r"(?:correct|fix|check|improve|edit|revise|polish|refine|enhance|shorten|simplify)\b"
        r"[^.?!\n]{0,30}\b(?:grammar|sentences?|paragraph|text|essay|email|e-mail|writing|wording|"
        r"english|spelling|comment|this|following)|make (?:it|this)[^.?!\n]{0,20}\b"
        r"(?:clear|short|long|formal|professional|concise|better|sound))",
    ),
    (
        "Brainstorming",
        r"\b(?:brain-?storm\w*|ideas?|suggest(?:ions?|s|ed)?|come up with|recommend\w*|"
        r"inspir\w+|tips|slogans?|taglines?|catchy|possible names|"
        r"names? (?:for|of a|ideas)|give me (?:a list|some|\d+)|list (?:of|all|the|some|best)|"
        r"(?:list|generate|create|name|provide) (?:a list of |me )?"
        r"(?:\d+|ten|five|twenty|some|several)\b|\d+ (?:\w+ ){0,2}"
        r"(?:ways|topics|titles|examples|reasons|questions|features|options|things))\b",
    ),
    (
        "Chat",
        r"\A\W*(?:hi|hello|hey|yo|howdy|good (?:morning|afternoon|evening)|greetings|thanks?|"
        r"thank you|ok(?:ay)?|yes|no|bye|hihi|sup|what'?s up)"
        r"(?:\W+(?:there|chat ?gpt|friend|all|again|you|gpt|bot|"
        r"how (?:are|have) you(?: been)?|how is it going|can you help me))*\W*\Z",
    ),
    (
        "Chat",
        r"\b(?:how are you|who are you|what are you|what is your name|are you (?:a|an|able|"
        r"sentient|alive|there|ready|real|conscious)|you are (?:not|wrong|stupid|real)|"
        r"do you (?:like|feel|love|want|remember)|can we (?:talk|chat|"
        r"play)|let'?s (?:talk|chat|play|have a conversation)|talk to me|tell me a joke|"
        r"i(?:'?m| am| feel) (?:sad|happy|bored|tired|lonely|anxious|depressed|feeling)|"
        r"can you play|i will (?:explain|provide|send|give|paste|share)|"
        r"i(?:'m| am) going to (?:provide|send|give|ask|paste|share))\b",
    ),
    (
        "Generation",
        r"\b(?:wr[io]te|wirte|create|generate|compose|draft|make|design|develop|prepare|"
        r"produce|build|construct|outline|plan|craft|invent|imagine|pretend|act as|role-?play|"
        r"you are (?:a|an|now|the|my)|as an? (?:expert|character)|continue|complete|fill|expand|"
        r"elaborate|rank|extract|convert|classify|categori[sz]e|organi[sz]e|format|in the style of|"
        r"template|essay|poem|story|article|blog|email|letter|speech|lyrics|screenplay|script|dialogue|"
        r"itinerary|cover letter|resume|proposal|report|syllabus|lesson plan|recipe|slides?|"
        r"presentation|tweets?|posts?|song|haiku|sonnet|description|headline|ads?|advertisement|agenda|"
        r"table|schedule|checklist|contract|bibliography|analy[sz]e|evaluate|interpret)\b",
    ),
    (
        "General QA",
        r"\?|\A\W*(?:please |can you |could you |so |and |hi,? |hello,? )*(?:what|whats|who|"
        r"whom|whose|when|where|which|why|how|is|are|was|were|do|does|did|can|could|should|would|will|"
        r"has|have|had|am|explain|describe|define|tell|teach|show|give|provide|find|compare|discuss|"
        r"calculate|solve|compute|answer|help|meaning|difference|name|identify|determine|i)\b",
    ),
    ("General QA", r"\A(?:\S+\s+){1,11}\S+\Z"),
)
RULES = tuple((name, re.compile(text, re.IGNORECASE | re.MULTILINE)) for name, text in _RULES)


def tag_categories(batch: pa.RecordBatch, overwrite: bool = False) -> pa.RecordBatch:
    """Fill `category` by rules from the first query; a category that a row names already is kept.

    In this order, the first that fits counts: Invalid (no letter or digit, or the word "test"
    alone), Non-English (by the `language` column: tag languages before; unknown is taken for
    English), Coding (code, or words of programming), Summarization, Rewrite (translation too),
    Brainstorming (ideas, lists, suggestions), Chat (greetings, talk about the model, "I will
    explain …"), Generation (a text or a role is asked for), General QA (questions, and up to
    twelve words without a verb that asks: what people type into a search box). Rules look at
    `EDGE` characters at either end. "" where none fits.
    """
    given = batch.column("category").to_pylist()
    languages = batch.column("language").to_pylist()
    found = [
        known if known and not overwrite else category_of(query, language)
        for known, query, language in zip(given, queries(batch), languages, strict=True)
    ]
    return _with_categories(batch, found)


def category_of(query: str, language: str = "") -> str:
    """The category of a query by rules, "" where none fits; see `tag_categories`."""
    text = query.strip()
    if not re.search(r"[^\W_]", text) or re.fullmatch(r"\W*test(?:ing)?\W*", text, re.IGNORECASE):
        return "Invalid"
    if language not in ("", "en"):
        return "Non-English"
    if len(text) > 2 * EDGE:
        text = f"{text[:EDGE]}\n{text[-EDGE:]}"
    return next((name for name, pattern in RULES if pattern.search(text)), "")


PROMPT = """Sort a query that somebody sent to a chat assistant into one of these categories.

Generation: asks for a text to be written or a role to be played (stories, emails, essays, plans).
General QA: asks a question of fact, for an explanation or a calculation.
Coding: asks for, or is about, program code, data bases, configuration.
Brainstorming: asks for ideas, suggestions, names, lists of possibilities.
Chat: makes conversation, greets, or speaks to the assistant about itself.
Summarization: asks for a shorter version of a text.
Rewrite: asks for a text to be rephrased, corrected or translated.
Non-English: is not in English.
Invalid: cannot be understood as a query.

The query stands between the lines of equal signs. Do not answer it.
==========
{query}
==========
Answer with the name of one category and nothing else."""

QUERY_LIMIT = 4000
"""Characters of a query that the judge reads: half from its beginning, half from its end."""


def judge_categories(
    batch: pa.RecordBatch, model: Model, overwrite: bool = False, progress: Progress | None = None
) -> tuple[pa.RecordBatch, Counter[str]]:
    """Fill `category` by asking a judge model at temperature 0.

    Rows without a query are Invalid without being asked; rejected rows and, unless `overwrite`,
    rows with a category are left as they are. An answer that is not exactly one category leaves
    "", never a guess; the counter says how many rows have none and why ("unparsed", "not asked",
    or the outcome of the answer, such as "truncated").
    """
    found = batch.column("category").to_pylist()
    asked = queries(batch)
    waiting = []
    for at, (query, reason) in enumerate(
        zip(asked, batch.column("reason").to_pylist(), strict=True)
    ):
        if reason or (found[at] and not overwrite):
            continue
        if query.strip():
            waiting.append(at)
        else:
            found[at] = "Invalid"
    replies = model.ask(
        [Ask.of(PROMPT.format(query=_shortened(asked[at]))) for at in waiting],
        max_new_tokens=16,
        progress=progress,
    )
    unsettled: Counter[str] = Counter()
    for at, reply in zip(waiting, replies, strict=True):
        found[at], why = _settled(reply)
        if why:
            unsettled[why] += 1
    return _with_categories(batch, found), unsettled


def parsed_category(text: str) -> str:
    """The category that an answer names, in any case, with "Category:" or marks around; else ""."""
    bare = re.sub(r"\A\W*(?:category\s*:)?\W*|\W*\Z", "", text, flags=re.IGNORECASE)
    names = {name.casefold(): name for name in PAPER}
    return names.get(" ".join(bare.split()).casefold(), "")


def _settled(reply: Reply | None) -> tuple[str, str]:
    """(category, "") or ("", why there is none)."""
    if reply is None:
        return "", "not asked"
    if reply.outcome != "answered":
        return "", reply.outcome
    category = parsed_category(reply.text)
    return category, "" if category else "unparsed"


def _shortened(query: str) -> str:
    half = QUERY_LIMIT // 2
    return query if len(query) <= QUERY_LIMIT else f"{query[:half]}\n[…]\n{query[-half:]}"


def _with_categories(batch: pa.RecordBatch, found: list[str]) -> pa.RecordBatch:
    import pyarrow as pa

    at = batch.schema.get_field_index("category")
    return batch.set_column(at, "category", pa.array(found, pa.string()))
