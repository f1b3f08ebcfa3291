"""Variables: which are known at an instruction, and what became of the words that use them."""

from collections.abc import Callable, Iterable, Mapping

from scow.build.dockerfile.expand import Expanded, expand
from scow.build.llb.ops import Platform

Missing = Callable[[frozenset[str]], None]


class WordExpander:
    """`instructions.Expander` over one environment; `missing` hears of variables that nobody set."""

    def __init__(self, env: Mapping[str, str], escape: str, missing: Missing | None = None) -> None:
        self._env, self._escape, self._missing = env, escape, missing

    def _told(self, done: Expanded) -> Expanded:
        if self._missing and done.missing:
            self._missing(done.missing)
        return done

    def word(self, text: str) -> str:
        return self._told(expand(text, self._env, self._escape)).text

    def words(self, text: str) -> tuple[str, ...]:
        return self._told(expand(text, self._env, self._escape)).words

    def content(self, text: str) -> str:
        return self._told(expand(text, self._env, "\\", keep_quotes=True)).text


def platform_args(build: Platform, target: Platform, stage: str) -> dict[str, str]:
    """The arguments that are known before the first FROM."""
    found: dict[str, str] = {}
    for prefix, one in (("BUILD", build), ("TARGET", target)):
        found[f"{prefix}PLATFORM"] = str(one)
        found[f"{prefix}OS"] = one.os
        found[f"{prefix}OSVERSION"] = one.os_version
        found[f"{prefix}ARCH"] = one.architecture
        found[f"{prefix}VARIANT"] = one.variant
    found["TARGETSTAGE"] = stage or "default"
    return found


def build_env(args: Iterable[tuple[str, str | None]], env: Mapping[str, str]) -> list[str]:
    """`k=v` of the declared arguments, as the history of a RUN shows them."""
    found: dict[str, str] = {}
    for key, value in args:
        found[key] = env.get(key, value or "")
    return [f"{key}={value}" for key, value in found.items()]
