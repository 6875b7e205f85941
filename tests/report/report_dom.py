"""A small reader of HTML, so that tests see the page as a browser does."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "img", "link", "input", "hr", "path", "use"}


@dataclass
class Node:
    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)

    def all(self, tag: str = "", cls: str = "") -> list[Node]:
        """Descendants with a tag and a class, in the page's order."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                fits = (not tag or child.tag == tag) and (
                    not cls or cls in child.attributes.get("class", "").split()
                )
                found += [child] if fits else []
                found += child.all(tag, cls)
        return found

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Node("root")
        self.stack = [self.root]

    def handle_starttag(self, tag, attrs):
        node = Node(tag, {k: v or "" for k, v in attrs})
        self.stack[-1].children.append(node)
        if tag not in VOID:
            self.stack.append(node)

    def handle_startendtag(self, tag, attrs):
        self.stack[-1].children.append(Node(tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack[-1].tag == tag, f"</{tag}> closes <{self.stack[-1].tag}>"
            self.stack.pop()

    def handle_data(self, data):
        self.stack[-1].children.append(data)


def read(html: str) -> Node:
    """The page as a tree; an element that is not closed in its place is an error."""
    reader = _Reader()
    reader.feed(html)
    assert [node.tag for node in reader.stack] == ["root"]
    return reader.root
