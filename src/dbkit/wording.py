"""Numbers with nouns in messages."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: "1 row", "1,000 rows". The default of `plural` is the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
