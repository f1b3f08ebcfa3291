"""Checks of one instruction in its stage, made while stages are converted."""

import re
from collections.abc import Callable, Iterable

from scow.build.dockerfile.instructions import Add, Arg, Cmd, Copy, Entrypoint, Env, Expose, Healthcheck, Instruction, Label, Maintainer
from scow.build.dockerfile.instructions.base import hint
from scow.build.dockerfile.linter import rules
from scow.build.dockerfile.linter.lint import Lint
from scow.gotemplate.values import go_quote
from scow.opts.ignore import Ignore

_SECRET = re.compile(r"(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE)
_PUBLIC = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)
Place = tuple[int, int, tuple[str, ...]]


def place(one: Instruction) -> Place:
    """Where an instruction stands, as Lint.warn takes it."""
    return one.start, one.end, one.comments


def check_instruction(one: Instruction, shell_set: bool, seen: dict[str, Instruction], lint: Lint) -> None:
    """What can be said before variables are replaced. `seen`: the last CMD, ENTRYPOINT and HEALTHCHECK of the stage."""
    if isinstance(one, Env | Label) and one.legacy:
        lint.warn(
            rules.LEGACY_KEY_VALUE_FORMAT,
            f'"{one.name} key=value" should be used instead of legacy "{one.name} key value" format',
            *place(one),
        )
    if isinstance(one, Env):
        _secrets("ENV", [key for key, _ in one.pairs], one, lint)
    elif isinstance(one, Arg):
        _secrets("ARG", [key for key, _ in one.args], one, lint)
    elif isinstance(one, Maintainer):
        lint.warn(rules.MAINTAINER_DEPRECATED, "Maintainer instruction is deprecated in favor of using label", *place(one))
    elif isinstance(one, Cmd | Entrypoint) and one.command.shell and not shell_set:
        lint.warn(
            rules.JSON_ARGS_RECOMMENDED,
            f"JSON arguments recommended for {one.name} to prevent unintended behavior related to OS signals",
            *place(one),
        )
    if isinstance(one, Cmd | Entrypoint | Healthcheck):
        earlier = seen.get(one.name)
        if earlier:
            lint.warn(
                rules.MULTIPLE_INSTRUCTIONS,
                f"Multiple {one.name} instructions should not be used in the same stage because only the last one will be used",
                *place(earlier),
            )
        seen[one.name] = one


def _secrets(word: str, keys: Iterable[str], one: Instruction, lint: Lint) -> None:
    for key in keys:
        if _SECRET.search(key) and not _PUBLIC.search(key):
            lint.warn(rules.SECRETS_USED, f"Do not use ARG or ENV instructions for sensitive data ({word} {go_quote(key)})", *place(one))


def undefined(one: Instruction, known: Iterable[str], declared: set[str], lint: Lint) -> Callable[[frozenset[str]], None]:
    """Hears of variables that have no value where an instruction uses them."""

    def missing(names: frozenset[str]) -> None:
        for name in sorted(names - declared):
            lint.warn(
                rules.UNDEFINED_VAR,
                f"Usage of undefined variable '${name}'" + hint(name, known_lower).replace("mean ", "mean $"),
                *place(one),
            )

    known_lower = list(known)
    return missing


def check_expose(one: Expose, lint: Lint) -> None:
    """The ports of an EXPOSE with variables replaced."""
    for port in one.ports:
        number, _, protocol = port.partition("/")
        if protocol != protocol.lower():
            lint.warn(rules.EXPOSE_PROTO_CASING, f"Defined protocol '{port}' in EXPOSE instruction should be lowercase", *place(one))
        if ":" in number:
            lint.warn(
                rules.EXPOSE_INVALID_FORMAT,
                f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'",
                *place(one),
            )


def check_copied(one: Copy | Add, source: str, ignore: Ignore | None, lint: Lint) -> None:
    """A file from the context that .dockerignore leaves out."""
    path = source.strip("/")
    if ignore and path and not any(char in path for char in "*?[") and ignore.excludes(path):
        lint.warn(
            rules.COPY_IGNORED_FILE,
            f"Attempting to {one.name.capitalize()} file {go_quote(source)} that is excluded by .dockerignore",
            *place(one),
        )
