"""The parts of an SVG picture: elements with escaped texts, and colours that fit the page around it."""

from collections.abc import Iterable
from xml.sax.saxutils import escape

LETTERS = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
CODE = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
# a page sets the variables; where it does not, or where the file is opened by itself, these colours are used
COLOURS = {
    "ink": ("#1c2430", "#e4e8ee"),
    "paper": ("#ffffff", "#14181f"),
    "accent": ("#1f6feb", "#6cabff"),
    "muted": ("#667080", "#97a1b0"),
    "warn": ("#9a5b00", "#e3a63c"),
    "bad": ("#c0262d", "#ff7b72"),
}


def element(name: str, /, *children: str, **attributes: object) -> str:
    """Return an element; `children` are SVG, and None leaves an attribute out. `_` in a name becomes `-`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_format(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}>{''.join(children)}</{name}>" if children else f"<{name}{given}/>"


def text_element(content: str, x: float, y: float, **attributes: object) -> str:
    """Return a text at a place; its content is escaped."""
    return element("text", escape(content), x=x, y=y, **attributes)


def title(content: str) -> str:
    """Return the title of an element, which a browser shows as a tooltip."""
    return element("title", escape(content))


def picture(  # the parts of the one element that they make
    content: Iterable[str], width: float, height: float, prefix: str, name: str, description: str, style: str
) -> str:
    """Return the `<svg>` element. `prefix` begins each id in it, and is its class."""
    size = {"width": width, "height": height, "viewBox": f"0 0 {_format(width)} {_format(height)}"}
    return element(
        "svg",
        element("title", escape(name), id=f"{prefix}-title"),
        element("desc", escape(description), id=f"{prefix}-desc"),
        element("style", _style(prefix) + style),
        element("rect", class_=f"{prefix}-paper", width=width, height=height),
        *content,
        xmlns="http://www.w3.org/2000/svg",
        class_=prefix,
        role="img",
        aria_labelledby=f"{prefix}-title {prefix}-desc",
        **size,
    )


def _style(prefix: str) -> str:
    light, dark = (
        "".join(f"--{prefix}-{name}:var(--{name},{both[number]});" for name, both in COLOURS.items())
        for number in (0, 1)
    )
    return (
        f".{prefix}{{{light}color-scheme:light dark;font-family:{LETTERS};font-size:13px;max-width:none}}"
        f"@media (prefers-color-scheme:dark){{.{prefix}{{{dark}}}}}"
        f".{prefix}-paper{{fill:var(--{prefix}-paper)}}"
        f".{prefix} text{{fill:var(--{prefix}-ink)}}"
        f".{prefix} .code{{font-family:{CODE};font-size:12px}}"
        f".{prefix} .muted{{fill:var(--{prefix}-muted)}}"
    )


def _format(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return escape(str(value), {'"': "&quot;", "'": "&#39;", "\n": "&#10;", "\t": "&#9;"})
