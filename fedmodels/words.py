"""Words that depend on a number, and numbers as people read them."""


def counted(number: int, noun: str) -> str:
    """`1 round`, `2 rounds`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short_number(value: float) -> str:
    """At most four places behind the point, and none that says nothing: `0.0333`, `0.5`, `90000000`."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
