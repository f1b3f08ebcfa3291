"""Build arguments as the classic builder scopes them: what is declared where, what has which value, what nobody asked for."""

from collections.abc import Mapping

from scow.build.dockerfile.expand import expand

PREDEFINED = frozenset(
    name for plain in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY") for name in (plain, plain.lower())
)


class Scope:
    """The arguments of one build. Those before the first FROM are `meta`; a stage starts with none declared."""

    def __init__(self, given: Mapping[str, str | None]) -> None:
        self._given = given
        self._meta: dict[str, str | None] = {}
        self._declared: dict[str, str | None] = {}
        self._consumed: set[str] = set()

    def declare_meta(self, name: str, default: str | None) -> None:
        """ARG before the first FROM."""
        self._consumed.add(name)
        self._meta[name] = default

    def new_stage(self) -> None:
        """What was declared ends with its stage."""
        self._declared = {}

    def declare(self, name: str, default: str | None) -> None:
        """ARG in a stage."""
        self._consumed.add(name)
        self._declared[name] = default if default is not None else self.meta().get(name)

    def meta(self) -> dict[str, str]:
        """Values that FROM may use."""
        return self._values(self._meta)

    def values(self) -> dict[str, str]:
        """Values declared in this stage, with the predefined ones that were given."""
        found = {name: value for name in PREDEFINED if (value := self._given.get(name)) is not None}
        return {**found, **self._values(self._declared)}

    def recorded(self) -> dict[str, str]:
        """Values that are part of a step's name in the cache and history: the predefined ones only when declared."""
        return self._values(self._declared)

    def _values(self, declared: Mapping[str, str | None]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, default in declared.items():
            value = self._given.get(name)
            value = default if value is None else value
            if value is not None:
                found[name] = value
        return found

    def unconsumed(self) -> list[str]:
        """Given arguments that no ARG asked for."""
        return sorted(name for name in self._given if name not in self._consumed and name not in PREDEFINED)


class Words:
    """Expands words with the values of one moment (`instructions.base.Expander`)."""

    def __init__(self, env: Mapping[str, str], escape: str) -> None:
        self._env = env
        self._escape = escape

    def word(self, text: str) -> str:
        """One word, quotes taken off."""
        return expand(text, self._env, self._escape).text

    def words(self, text: str) -> tuple[str, ...]:
        """The words that a text becomes."""
        return expand(text, self._env, self._escape).words

    def content(self, text: str) -> str:
        """The text of a here-document."""
        return expand(text, self._env, self._escape, keep_quotes=True).text
