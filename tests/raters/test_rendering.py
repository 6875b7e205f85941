"""What models wrote, shown: an allow-list of markup, and every character that was there."""

import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from veneer.raters.server.rendering import LONGEST, plain, rendered

BLOCKS = {"p", "br", "hr", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "div"}
TABLES = {"table", "thead", "tbody", "tr", "th", "td"}
TAGS = BLOCKS | TABLES | {"code", "em", "strong", "s", "span"}
VOID = {"br", "hr"}
CLASSES = {"link", "address", "image", "mark", "plain", "table", "info", "left", "center", "right"}


class Reader(HTMLParser):
    """Fails on any tag, nesting or attribute that is not ours; keeps the text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.tags = [], "", []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS, tag
        for name, value in attrs:
            if name == "class":
                assert value in CLASSES
            elif name == "start":
                assert re.fullmatch(r"\d{1,9}", value)
            else:
                assert (name, value) == ("dir", "auto")
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def read(made):
    reader = Reader()
    reader.feed(str(made))
    reader.close()
    assert reader.open == []
    return reader


def letters(text):
    return [letter for letter in text if letter.isalpha()]


def in_order(some, all_of):
    rest = iter(all_of)
    return all(letter in rest for letter in some)


MARKS = st.one_of(
    st.sampled_from(
        "#>-*_`~|[]()!<\n\t =:\"'@\\\u2067\u2069\u202e\u200b\u0301\x00\x0b\u2028\ud800"
    ),
    st.sampled_from(["## ", "**", "```", "~~~", "|-|-", "](", "![", "</p>", "<b ", "<!--", "]]>"]),
    st.sampled_from(["1. ", "7) ", "\n\n", "---", "http://", "&amp;", "&#x202e;", "&lt;", "    "]),
    st.sampled_from(["a|b\n-|-\n", "[x]: y\n", "</article></main>", "<script>", "onerror=x"]),
)
HOSTILE = st.lists(MARKS | st.text(max_size=6), max_size=40).map("".join)


@settings(max_examples=250, deadline=None)
@given(HOSTILE)
@example("| a | b |\n|---|---|\n| 1 | 2 | lost |\n")
@example("[a]: http://x 'title'\n\n[a]")
@example("```python lost\ncode")
@example('[shown](http://there "title") ![alt](src "t")')
def test_whatever_a_model_writes_only_our_markup_comes_out(text):
    for made in (rendered(text), plain(text)):
        read(made)
    source = re.sub(r"&#?\w*;?|\\", "", text).encode("utf-8", "replace").decode()
    if "&" not in text:
        assert in_order(letters(source), letters(read(rendered(text)).text))


WORDS = st.text("abc Ärger 123 日本 שלום عربي ,;?'\"%/\n", max_size=300)


@settings(max_examples=100, deadline=None)
@given(WORDS)
def test_all_of_a_plain_text_survives(text):
    assert read(rendered(text)).text.split() == text.split()
    assert read(plain(text)).text == text


@given(st.text(max_size=60))
def test_plain_text_is_as_it_was_typed(text):
    seen = read(plain(text)).text
    kept = [c for c in text if c.isprintable() and c not in "\u202a\u202b\u202c\u202d\u202e"]
    assert in_order([c for c in kept if c not in "\u2066\u2067\u2068\u2069"], seen)


def test_markdown_is_rendered():
    made = rendered(
        "# Title\n\n*a* **b** ~~c~~ `d`\n\n3. three\n4. four\n\n> quote\n\n```py\nx < y\n```\n\n"
        "| l | r |\n|:--|--:|\n| 1 | 2 |\n\nline\nnext"
    )
    for part in (
        '<h3 dir="auto">Title</h3>',
        "<em>a</em> <strong>b</strong> <s>c</s> <code>d</code>",
        '<ol start="3">',
        "<blockquote>",
        '<div class="info" dir="auto">py</div>\n<pre dir="auto"><code>x &lt; y\n</code></pre>',
        '<div class="table"><table>',
        '<th class="right" dir="auto">r</th>',
        "line<br>\nnext",
    ):
        assert part in made


def test_links_and_images_lead_nowhere_and_are_shown():
    made = rendered(
        "[here](https://a.example/b 'why') ![a *cat*](https://a.example/cat.png) "
        "<https://auto.example> [x](javascript:alert(1)) [y](data:text/html,z)"
    )
    text = read(made).text
    assert 'here (https://a.example/b "why")' in text
    assert "[Image, not shown: a cat] (https://a.example/cat.png)" in text
    assert text.count("https://auto.example") == 1
    assert "x (javascript:alert(1))" in text
    assert not re.search(r"<a\b|<img\b|href|src=", made)


def test_a_long_address_is_cut_and_says_so():
    text = read(rendered(f"![x](data:image/png;base64,{'A' * 5000})")).text
    assert "… 5,022 characters" in text
    assert len(text) < 500


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        "<svg onload=alert(1)><style>*{}</style></svg>",
        "</div></section></article></main></body></html>",
        "<iframe srcdoc='x'></iframe><form action=/undo><button>x</button></form>",
        '```"><script>\nx',
        "`</code><b>`",
        "<div hx-get='/undo' hx-trigger='load'>x</div>",
        "<!-- <!--> <![CDATA[ ]]> <?php",
    ],
)
def test_html_is_text(text):
    seen = read(rendered(text)).text
    assert html.unescape(text).replace("`", "").split("\n")[0].strip() in seen.replace("\n", "")


def test_deceiving_characters_are_seen():
    made = rendered("safe\u202egnp.exe &#x202D;x `\u202a`\n\n```\n\u202e\n```")
    text = read(made).text
    assert text.count("[U+202E]") == 2
    assert "[U+202D]" in text
    assert "[U+202A]" in text
    assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e")


def test_isolates_end_with_their_block():
    for made in (rendered("a \u2067 b \u2068 c\n\nnext \u2069 d"), plain("a \u2067 \u2068 b")):
        depth = 0
        for piece in re.split(r"(\u2066|\u2067|\u2068|\u2069|</p>|</div>)", str(made)):
            depth += (piece in ("\u2066", "\u2067", "\u2068")) - (piece == "\u2069")
            assert depth >= 0
            if piece.startswith("</"):
                assert depth == 0
        assert "\u2067" in made


def test_control_and_invisible_characters_are_harmless():
    text = read(
        rendered("a\x00b\x07c\x1b[31m\r\nd\x85" + "\u200b" * 3000 + "e" + "\u0301" * 500)
    ).text
    assert "a\u2400b\u2407c\u241b[31m" in text
    assert "[3,000 invisible characters]" in text
    assert "[492 marks on one letter]" in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    family, persian = "👩\u200d👩\u200d👧", "می\u200cخواهم"
    assert read(rendered(f"{family} {persian} e\u0301")).text == f"{family} {persian} e\u0301\n"


def test_a_long_text_is_shown_whole_as_written():
    text = "**word** " * (200_000 // 9)
    assert len(text) > LONGEST
    assert read(rendered(text)).text == text


@pytest.mark.parametrize(
    "piece", ["[", "![", "*", ">", "*a _b ", "- ", "<", "`a", "|a", "[a](", "&#"]
)
def test_riddles_end(piece):
    text = piece * (12_000 // len(piece))
    assert in_order(letters(text), letters(read(rendered(text)).text))
    assert read(rendered(piece * 100_000)).text == piece * 100_000


@pytest.mark.parametrize(
    "text",
    [
        ">" * 5000 + " deep",
        "".join("  " * n + "- a\n" for n in range(200)) + "  " * 200 + "deep",
        "*a **b " * 3000 + "deep" + "** *" * 3000,
        "[" * 2000 + "deep" + "](x)" * 2000,
        "```\nnever closed\n<b>deep",
    ],
)
def test_deep_nests_lose_nothing(text):
    made = read(rendered(text))
    assert "deep" in made.text
    assert len(made.tags) < 60_000
