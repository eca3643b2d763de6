"""Small pieces of Markdown."""

from collections.abc import Iterable, Sequence

NOTE = "<!-- Made by bin/generate from the code: do not edit. -->"


def page(title: str, opening: str, *parts: str) -> str:
    """A whole page."""
    return "\n\n".join([NOTE, f"# {title}", opening, *parts]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Words of the code as they are, in a cell or a line: no markup of theirs counts, but what stands in backticks."""
    joined = " ".join(text.split())
    parts = joined.split("`")
    if len(parts) % 2 == 0:
        return _escaped(joined.replace("`", "'"))
    return "`".join(
        part.replace("|", "\\|") if number % 2 else _escaped(part) for number, part in enumerate(parts)
    )


def mono(text: str) -> str:
    """``text`` as code in a cell."""
    return f"`{' '.join(text.split())}`".replace("|", "\\|") if text else ""


def _escaped(text: str) -> str:
    for sign in "\\*_[]":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
