"""HTML that cannot be broken by what is put into it: text is escaped, and a stranger's text stripped (F-SEC-05)."""

from html import escape

from tbot.gateway.redact import plain

MOST_SIGNS = 300  # of one piece of text


class Html(str):
    """Text that is markup already; anything else is escaped."""

    __slots__ = ()


def text(value: object) -> Html:
    """Anything as text: no control or direction signs, bounded, escaped."""
    return value if isinstance(value, Html) else Html(escape(plain(str(value), MOST_SIGNS)))


def tag(name: str, *children: object, cls: str = "", **attributes: object) -> Html:
    """An element. An attribute `data_x` becomes `data-x`; None leaves it out, True has no value."""
    marks = [f'class="{escape(cls)}"'] if cls else []
    for key, value in attributes.items():
        if value is True:
            marks.append(key.replace("_", "-"))
        elif value is not None and value is not False:
            marks.append(f'{key.replace("_", "-")}="{text(value)}"')
    inside = "".join(text(child) for child in children)
    return Html(f"<{' '.join([name, *marks])}>{inside}</{name}>")


def div(cls: str, *children: object, **attributes: object) -> Html:
    return tag("div", *children, cls=cls, **attributes)


def span(cls: str, *children: object, **attributes: object) -> Html:
    return tag("span", *children, cls=cls, **attributes)


def join(*parts: object) -> Html:
    """Pieces one after the other."""
    return Html("".join(text(part) for part in parts))


def table(heads: list[tuple[str, str]], rows: list[list[object]], cls: str = "") -> Html:
    """`heads`: (name, class) of each column; the class also goes to its cells."""
    head = tag("tr", *(tag("th", name, cls=kind) for name, kind in heads))
    body = [
        tag("tr", *(tag("td", cell, cls=kind) for cell, (_, kind) in zip(row, heads, strict=True))) for row in rows
    ]
    return div("scroll", tag("table", tag("thead", head), tag("tbody", *body), cls=cls))
