"""Small grammars of numbers."""

_MAX = 8192


def parse_cpu_list(text: str) -> set[int]:
    """The numbers of `0-2,4`. Raises ValueError."""
    result: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
            raise ValueError(f"not a list of numbers: {text}")
        low, high = int(first), int(last) if dash else int(first)
        if high < low or high >= _MAX:
            raise ValueError(f"not a list of numbers: {text}")
        result.update(range(low, high + 1))
    return result
