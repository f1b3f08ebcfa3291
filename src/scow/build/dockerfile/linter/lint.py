"""Gathers what checks find, without what the file or the user said to skip."""

import re
from dataclasses import dataclass, field

from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.lexer import FALSE, TRUE
from scow.build.dockerfile.linter.rules import RULES, Rule

_COMMENT = re.compile(r"^check\s*=\s*(.*)$")
_REASON = re.compile(r"\s*//.*$")
MAX_FINDINGS = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that should be another way; lines from 1, 0 = nowhere."""

    rule: Rule
    message: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LintConfig:
    """`skip=A,B|all;error=true;experimental=A|all`, of `# check=` or BUILDKIT_DOCKERFILE_CHECK."""

    skip: frozenset[str] = frozenset()
    skip_all: bool = False
    error: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False

    @classmethod
    def parse(cls, text: str) -> "LintConfig":
        """Raises DockerfileError."""
        found: dict[str, str] = {}
        for part in text.strip().split(";") if text.strip() else []:
            key, has, value = part.partition("=")
            key = key.strip()
            if not has:
                raise DockerfileError(f'invalid check option "{part}"')
            if key not in ("skip", "error", "experimental"):
                raise DockerfileError(f'invalid check option "{key}"')
            found[key] = value.strip()
        error = found.get("error", "false")
        if error not in TRUE and error not in FALSE:
            raise DockerfileError(f'failed to parse check option "error={error}": use true or false')
        return cls(
            _names(found.get("skip", "")),
            found.get("skip") == "all",
            error in TRUE,
            _names(found.get("experimental", "")),
            found.get("experimental") == "all",
        )

    def merged(self, other: "LintConfig") -> "LintConfig":
        """Both of them."""
        return LintConfig(
            self.skip | other.skip,
            self.skip_all or other.skip_all,
            self.error or other.error,
            self.experimental | other.experimental,
            self.experimental_all or other.experimental_all,
        )


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip() and name.strip() != "all")


@dataclass(slots=True)
class Lint:
    """The findings of one file, in the order they were made, none twice."""

    config: LintConfig = LintConfig()
    findings: list[Finding] = field(default_factory=list)

    def warn(self, rule: Rule, message: str, start: int, end: int, comments: tuple[str, ...] = ()) -> None:
        """Note a finding, unless it is skipped (also by `# check=skip=Rule` in the comments above the instruction)."""
        if self.config.skip_all or rule.name in self.config.skip or len(self.findings) >= MAX_FINDINGS:
            return
        if rule.experimental and not (self.config.experimental_all or rule.name in self.config.experimental):
            return
        for comment in comments:
            match = _COMMENT.match(comment)
            if not match:
                continue
            try:
                own = LintConfig.parse(_REASON.sub("", match[1]))
            except DockerfileError:
                continue
            if own.skip_all or rule.name in own.skip:
                return
        finding = Finding(rule, message, start, end)
        if finding not in self.findings:
            self.findings.append(finding)

    def refuse(self) -> None:
        """Raise DockerfileError when findings are to be errors and there are some."""
        if self.config.error and self.findings:
            names = sorted({finding.rule.name for finding in self.findings})
            raise DockerfileError(f"lint violation found for rules: {', '.join(names)}")


__all__ = ["RULES", "Finding", "Lint", "LintConfig"]
