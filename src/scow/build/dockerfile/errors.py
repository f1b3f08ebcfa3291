"""What is wrong in a Dockerfile, and where. The only error that reading or converting one raises."""

from scow.errors import InvalidArgument

EXCERPT_LINES = 4  # lines shown above and below the wrong one


class DockerfileError(InvalidArgument):
    """`reason` is the bare sentence; `message` begins with the line, as Docker prints it; `start` and `end` are lines from 1 (0: unknown);
    `instruction` is the nearest one's name, in capitals, when known."""

    def __init__(self, reason: str, start: int = 0, end: int = 0, instruction: str = "", parsing: bool = True) -> None:
        super().__init__(f"dockerfile parse error on line {start}: {reason}" if parsing and start else reason)
        self.reason = reason
        self.start = start
        self.end = max(start, end)
        self.instruction = instruction

    def at(self, start: int, end: int, instruction: str, parsing: bool = True) -> "DockerfileError":
        """The same error with its place, when it has none yet."""
        if self.start:
            return self
        return DockerfileError(self.reason, start, end, instruction, parsing)


def excerpt(text: str, filename: str, start: int, end: int) -> str:
    """The lines around a place, the place marked with `>>>`, as `docker buildx build` prints them; "" when the place is unknown."""
    lines = text.splitlines()
    if not start or start > len(lines):
        return ""
    end = min(max(start, end), len(lines))
    padding = max(0, EXCERPT_LINES - (end - start))
    first, last = max(1, start - padding), min(len(lines), end + padding)
    rows = [f"{filename}:{start}", "-" * 20]
    for number in range(first, last + 1):
        marked = ">>>" if start <= number <= end else "   "
        rows.append(f"{number:4d} | {marked} {lines[number - 1]}"[:1024])
    rows.append("-" * 20)
    return "\n".join(rows)
