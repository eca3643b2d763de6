"""Lengths of time and sizes in the words a person would take; the same on the terminal and on the page."""

from datetime import datetime

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def span(seconds: float) -> str:
    """A length of time in the unit a person would take: ``4 ms``, ``2.5 s``, ``3 min``, ``5 h``, ``2 d``."""
    if 0 < abs(seconds) < 0.00095:
        return f"{seconds * 1000:.1f} ms"
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in _UNITS:
        if abs(seconds) >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if abs(seconds) < 10 else f"{seconds:.0f} s"


def when(moment: datetime | None, now: datetime) -> str:
    """``3 s ago``, ``in 5 min``, or nothing. Both times are the database's."""
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def size(number: int) -> str:
    """Bytes as ``12 MB``."""
    amount = float(number)
    for unit in ("B", "kB", "MB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GB"


def usd(amount: float | None) -> str:
    """``$0.15``, ``$12.30``; amounts under a cent with as many digits as say something, such as ``$0.0042``."""
    if amount is None:
        return ""
    if amount == 0 or abs(amount) >= 0.01:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if abs(amount) >= 0.0001 else "under $0.0001"
