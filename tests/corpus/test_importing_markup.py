"""HTML back to Markdown where a value is HTML as a whole; everything else byte for byte as it was."""

from __future__ import annotations

import json

import pytest

from veneer.corpus.importing import read_batches
from veneer.corpus.importing.markup import NOTE, as_markdown, markdown

ANSWER = (
    '<div class="markdown prose w-full break-words dark:prose-invert light"><p>Use <code>a_b*c</code>'
    ' and &lt;T&gt; in <strong>this</strong>:</p><pre><div class="bg-black mb-4 rounded-md">'
    '<div class="flex items-center"><span class="">python</span><button class="flex ml-auto">'
    '<svg></svg>Copy code</button></div><div class="p-4 overflow-y-auto"><code class="!whitespace-pre'
    ' hljs"><span class="hljs-keyword">def</span> f():\n    <span>return</span> 1 &lt; 2\n</code></div>'
    "</div></pre><h2>Then</h2><ol><li><p>One</p></li><li><p>Two</p></li></ol>"
    "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table></div>"
)
MARKDOWN = """Use `a_b*c` and <T> in **this**:

```python
def f():
    return 1 < 2
```

## Then

1. One
2. Two

| a |
| --- |
| 1 |"""


def test_what_a_chat_page_rendered_is_turned_back():
    assert markdown(ANSWER) == MARKDOWN
    typed = '<div class="whitespace-pre-wrap">def f():\n    pass &lt; 1</div>'
    assert as_markdown([("user", typed)]) == ([("user", "def f():\n    pass < 1")], 1)


def test_the_language_of_a_block_is_kept():
    named = '<div class="markdown"><pre><code class="hljs language-c++">int x;\n</code></pre></div>'
    assert markdown(named) == "```c++\nint x;\n```"


def test_answers_of_nothing_but_blocks_are_turned_back():
    said = [
        ("user", "Greet me."),
        ("assistant", "<p>Hello <em>you</em> &amp; a_b</p>\n<ul><li>x</li></ul>"),
    ]
    assert as_markdown(said) == ([said[0], ("assistant", "Hello *you* & a_b\n\n- x")], 1)


UNTOUCHED = {
    "text with a sign": ("Is it so?", "1 < 2 and x > y, a&amp;b"),
    "markdown": ("Show me.", "# Title\n\n1. `<div>`\n\n```html\n<p>x</p>\n```"),
    "a tag in text": ("How bold?", "Use <b>this</b>."),
    "code that was asked for": ("Write a paragraph in HTML", "<p>Hello</p>"),
    "code to mend": ("Mend <ul><li>this", "<ul><li>this</li></ul>"),
    "a tag": ("Which tag is a paragraph?", "<p></p>"),
    "a page": ("Greet me.", "<html><body><p>Hello</p></body></html>"),
    "a component": ("A button, please", "<div><p>Hello</p></div>"),
    "with behaviour": ("Greet me.", '<p onclick="go()">Hello</p>'),
    "text around": ("Greet me.", "<p>Hello</p> or so"),
    "thinking": ("Greet me.", "<think>\nhm\n</think><p>Hello</p>"),
    "unusual": ("Greet me.", "<p>Hello <blink>you</blink></p>"),
    "a wrapped marker": ("Greet me.", 'Here: <div class="markdown"><p>x</p></div>'),
    "two elements": ("Greet me.", '<div class="markdown"><p>x</p></div><div>y</div>'),
    "a template": ("x", "{{ a }} <% if b %> ${c} <T> List<String>"),
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_text_that_merely_has_tags_is_left_alone(name):
    said = list(zip(["user", "assistant"], UNTOUCHED[name], strict=True))
    assert as_markdown(said) == (said, 0)


def test_one_answer_that_is_no_html_shows_that_none_is():
    said = [("user", "a"), ("assistant", "<p>x</p>"), ("user", "b"), ("assistant", "plain")]
    assert as_markdown(said) == (said, 0)


def test_it_is_noted_in_the_row(tmp_path):
    turns = [{"from": "human", "value": "Hi <b>"}, {"from": "gpt", "value": ANSWER}]
    (tmp_path / "f.json").write_text(json.dumps([{"conversations": turns}]))
    (batch,) = read_batches(tmp_path / "f.json")
    (row,) = batch.to_pylist()
    assert row["notes"] == [NOTE]
    assert [turn["content"] for turn in row["messages"]] == ["Hi <b>", MARKDOWN]
