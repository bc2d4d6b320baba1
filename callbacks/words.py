"""Numbers and their names, for people."""

import re
from typing import Any

Number = float | int


def words(name: str) -> str:
    """Returns a number's name as people write it: `FID` for `fid`, `Inception score` for `inception_score`."""
    text = re.sub(r"\b[fk]id\b", lambda short: short[0].upper(), name.replace("_", " "))
    return text[:1].upper() + text[1:]


def number(value: Number) -> str:
    """Returns a number to four digits, without an exponent where whole digits do."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def said(fact: Any) -> str:
    """Returns a fact of a protocol on one line."""
    return ", ".join(f"{key} {value}" for key, value in fact.items()) if isinstance(fact, dict) else str(fact)
