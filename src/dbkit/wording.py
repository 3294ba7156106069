"""Numbers with nouns in messages."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 row", "1,000 rows"; `plural` where that is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
