"""Write a text as a Python string."""


def write_string(text: str) -> str:
    """Return a literal of one line: raw where that saves escapes, in double quotes unless single ones do."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    if "\\" in text and text.isprintable() and quote not in text and not text.endswith("\\"):
        return f"r{quote}{text}{quote}"
    return quote + "".join(_escape_letter(letter, quote) for letter in text) + quote


def _escape_letter(letter: str, quote: str) -> str:
    if letter in (quote, "\\"):
        return "\\" + letter
    return letter if letter.isprintable() else ascii(letter)[1:-1]
