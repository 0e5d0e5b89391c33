"""A page as its reader finds it: texts, links, fields and tables, whatever is around them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any


@dataclass
class HtmlPage(HTMLParser):
    """What is on a page: `HtmlPage.of(await response.text())`."""

    #: Each heading of the first level.
    titles: list[str] = field(default_factory=list)
    #: The target of each link, by its text; of several with one text the last.
    links: dict[str, str] = field(default_factory=dict)
    #: The rows of all table bodies, each a list of texts.
    rows: list[list[str]] = field(default_factory=list)
    #: The value of each field, by its name.
    values: dict[str, str] = field(default_factory=dict)
    #: What is said at a field that is marked as wrong, by the field's name.
    errors: dict[str, str] = field(default_factory=dict)
    #: All that is to be read.
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self._described: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    @classmethod
    def of(cls, html: str) -> "HtmlPage":
        page = cls()
        page.feed(html)
        page.close()
        page.text = " ".join(page.text.split())
        # The last one that describes a field says what is wrong with it.
        page.errors = {
            name: page._ids[where.split()[-1]] for name, where in page._described.items()
        }
        return page

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = {name: value or "" for name, value in attrs}
        if "aria-invalid" in given:
            self._described[given["name"]] = given["aria-describedby"]
        if tag == "input":
            if "name" in given:  # else it is sent nowhere
                self.values[given["name"]] = given.get("value", "")
        elif tag == "option" and ("selected" in given or given["value"] == ""):
            select = next(one for name, one, _ in reversed(self._open) if name == "select")
            self.values[select["name"]] = given["value"]
        elif tag == "tr":
            self.rows.append([])
        if tag not in {"input", "meta", "link", "br", "hr"}:
            self._open.append((tag, given, []))

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            name, given, texts = self._open.pop()
            text = " ".join("".join(texts).split())
            if "id" in given:
                self._ids[given["id"]] = text
            if name == "h1":
                self.titles.append(text)
            elif name == "textarea":
                self.values[given["name"]] = "".join(texts).removeprefix("\n")
            elif name == "a":
                self.links[text] = given["href"]
            elif name == "td":
                self.rows[-1].append(text)
            elif name == "thead":
                self.rows.clear()
            if name == tag:
                return

    def handle_data(self, data: str) -> None:
        self.text += data + " "
        for _, _, texts in self._open:
            texts.append(data)
