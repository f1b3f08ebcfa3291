"""Which tags go: rules by repository, tag pattern, number and age. `plan` is pure and printable, `apply` carries it out.

The first rule that fits a repository and a tag decides about it. A tag is kept if it is among the newest `keep`, or younger than `older`,
or was pulled within `unused`; a rule that says none of these removes nothing. `untagged` removes manifests without a tag for so long.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scow.errors import InvalidArgument, NotFound
from scow.registryd import names
from scow.registryd.catalog import remove_manifest
from scow.registryd.database import Database
from scow.registryd.store import Store

_DAY = 86400


@dataclass(frozen=True, slots=True)
class Rule:
    """A stored rule. Seconds; 0 means that the rule does not say. `spare` is a pattern of tags it leaves alone."""

    id: int
    repositories: str
    tags: str = "**"
    spare: str = ""
    keep: int = 0
    older: int = 0
    unused: int = 0
    untagged: int = 0


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag as rules see it; times are ns since the epoch."""

    name: str
    digest: str
    pushed: int
    pulled: int


@dataclass(frozen=True, slots=True)
class Untagged:
    """A manifest that no tag, no index and no subject holds."""

    digest: str
    pushed: int
    pulled: int


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that goes, and why; `tag` "" is the manifest itself."""

    repository: str
    tag: str
    digest: str
    why: str


def check(rule: Rule) -> Rule:
    """The rule. Raises InvalidArgument."""
    names.check_pattern(rule.repositories)
    for pattern in (rule.tags, rule.spare or "*"):
        names.check_pattern(pattern, tags=True)
    if not (rule.keep or rule.older or rule.unused or rule.untagged):
        raise InvalidArgument("a rule needs at least one of --keep, --older-than, --unused and --untagged")
    if min(rule.keep, rule.older, rule.unused, rule.untagged) < 0:
        raise InvalidArgument("the numbers of a rule are not negative")
    return rule


def plan(rules: list[Rule], repository: str, tags: list[Tag], untagged: list[Untagged], now: int) -> list[Removal]:
    """What goes in one repository."""
    own = [rule for rule in rules if names.matches(rule.repositories, repository)]
    groups: dict[int, list[Tag]] = defaultdict(list)
    for tag in tags:
        for rule in own:
            if names.matches(rule.tags, tag.name):
                if not (rule.spare and names.matches(rule.spare, tag.name)):
                    groups[rule.id].append(tag)
                break
    gone: list[Removal] = []
    for rule in own:
        newest = sorted(groups[rule.id], key=lambda tag: (tag.pushed, tag.name), reverse=True)
        for place, tag in enumerate(newest):
            why = _why(rule, place, tag, now)
            if why:
                gone.append(Removal(repository, tag.name, tag.digest, f"rule {rule.id}: {why}"))
    limit = min((rule.untagged for rule in own if rule.untagged), default=0)
    unused = min((rule.unused for rule in own if rule.unused and rule.tags == "**"), default=0)
    for one in untagged:
        if limit and one.pushed < now - limit * 10**9:
            gone.append(Removal(repository, "", one.digest, f"untagged for {_age(now - one.pushed)}"))
        elif unused and max(one.pushed, one.pulled) < now - unused * 10**9:
            gone.append(Removal(repository, "", one.digest, f"unused for {_age(now - max(one.pushed, one.pulled))}"))
    return gone


def _why(rule: Rule, place: int, tag: Tag, now: int) -> str:
    if not (rule.keep or rule.older or rule.unused) or place < rule.keep:
        return ""
    reasons = [f"not among the newest {rule.keep}"] if rule.keep else []
    if rule.older:
        if tag.pushed >= now - rule.older * 10**9:
            return ""
        reasons.append(f"pushed {_age(now - tag.pushed)} ago")
    if rule.unused:
        used = max(tag.pushed, tag.pulled)
        if used >= now - rule.unused * 10**9:
            return ""
        reasons.append(f"unused for {_age(now - used)}")
    return ", ".join(reasons)


def _age(ns: int) -> str:
    seconds = ns // 10**9
    return f"{seconds // _DAY} days" if seconds >= 2 * _DAY else f"{seconds // 3600} hours" if seconds >= 7200 else f"{seconds} seconds"


class Rules:
    """The rules of `catalog.db`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self) -> list[Rule]:
        """In the order in which they are asked."""
        return [
            Rule(*row)
            for row in self._db.rows("SELECT id, repositories, tags, spare, keep, older, unused, untagged FROM rules ORDER BY id")
        ]

    def add(self, rule: Rule) -> int:
        """Store a checked rule; its id. Raises InvalidArgument."""
        check(rule)
        values = (rule.repositories, rule.tags, rule.spare, rule.keep, rule.older, rule.unused, rule.untagged)
        with self._db.update(durable=True) as tx:
            sql = "INSERT INTO rules (repositories, tags, spare, keep, older, unused, untagged) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id"
            return int(tx.execute(sql, values).fetchone()[0])

    def remove(self, identity: int) -> None:
        """Raises NotFound."""
        with self._db.update(durable=True) as tx:
            if not tx.execute("DELETE FROM rules WHERE id = ?", (identity,)).rowcount:
                raise NotFound(f"there is no rule {identity}")


def planned(store: Store, rules: list[Rule], now: int | None = None) -> Iterator[Removal]:
    """What goes now, repository by repository. For a pool thread."""
    now = time.time_ns() if now is None else now
    for identity, name in store.db.rows("SELECT id, name FROM repositories ORDER BY name"):
        if not any(names.matches(rule.repositories, name) for rule in rules):
            continue
        rows = store.db.rows(
            "SELECT t.name, t.digest, t.pushed, m.pulled FROM tags t JOIN manifests m ON m.repo = t.repo AND m.digest = t.digest "
            "WHERE t.repo = ?",
            identity,
        )
        yield from plan(rules, name, [Tag(*row) for row in rows], _untagged(store, identity), now)


def _untagged(store: Store, repo: int) -> list[Untagged]:
    rows = store.db.rows(
        "SELECT digest, pushed, pulled FROM manifests m WHERE repo = ? "
        "AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.repo = m.repo AND t.digest = m.digest) "
        "AND NOT EXISTS (SELECT 1 FROM refs f WHERE f.repo = m.repo AND f.child = m.digest) "
        "AND NOT EXISTS (SELECT 1 FROM manifests s WHERE s.repo = m.repo AND s.digest = m.subject AND m.subject != '')",
        repo,
    )
    return [Untagged(*row) for row in rows]


def apply(store: Store, removals: list[Removal]) -> int:
    """Carry removals out, but for tags that moved meanwhile; how many went. A manifest goes with its last tag. For a pool thread."""
    count = 0
    for one in removals:
        with store.db.update() as tx:
            row = tx.execute("SELECT id FROM repositories WHERE name = ?", (one.repository,)).fetchone()
            if row is None:
                continue
            if one.tag:
                if not tx.execute("DELETE FROM tags WHERE repo = ? AND name = ? AND digest = ?", (row[0], one.tag, one.digest)).rowcount:
                    continue
            elif _held(tx, row[0], one.digest):
                continue
            _sweep(tx, row[0], one.digest)
            count += 1
    return count


def _held(tx: Any, repo: int, digest: str) -> bool:
    tagged = tx.execute("SELECT 1 FROM tags WHERE repo = ? AND digest = ?", (repo, digest)).fetchone()
    return tagged is not None or tx.execute("SELECT 1 FROM refs WHERE repo = ? AND child = ?", (repo, digest)).fetchone() is not None


def _sweep(tx: Any, repo: int, digest: str) -> None:
    """Take a manifest away that nothing holds, then those that only it held: its images, what was said about it."""
    waiting = [digest]
    while waiting:
        one = waiting.pop()
        if _held(tx, repo, one):
            continue
        children = [
            row[0] for row in tx.execute("SELECT child FROM refs WHERE repo = ? AND manifest = ? AND kind = 'manifest'", (repo, one))
        ]
        about = [row[0] for row in tx.execute("SELECT digest FROM manifests WHERE repo = ? AND subject = ?", (repo, one))]
        if remove_manifest(tx, repo, one):
            waiting += children + about
