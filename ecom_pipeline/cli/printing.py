"""Text from outside, made safe for a terminal: names and rows are the shop's and may hold any character."""

from rich.markup import escape


def printable(value: object) -> str:
    """Text without characters that would command the terminal."""
    return "".join(
        letter if letter.isprintable() or letter == "\t" else "\N{REPLACEMENT CHARACTER}" for letter in str(value)
    )


def safe(value: object) -> str:
    """Text that Rich prints as it is: names may hold what it takes for markup."""
    return escape(printable(value))
