"""The root that certificates of etcd's members are made of, and how one follows another. Pure.

`manager/peers.py` says when, `peering.py` does it.

etcd reads its certificate at each handshake, the roots that it believes only when it starts. So the exchange has three steps, each of which
all members have taken before the next one begins; members of two steps that follow each other believe each other:

- both: every member believes the next root, too (it is started again for that);
- sign: every member has a certificate of the next root (no start is needed);
- drop: every member believes the next root only (it is started again).

An exchange lies in the cluster (`Cluster.peers`) as {"Step", "Root", "Key" (the present pair), "Next", "NextKey", "Turn" (the manager that
may start its member again), "Again" (another exchange was asked for meanwhile)}.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scow.swarm import ca

Doc = Mapping[str, Any]

BOTH, SIGN, DROP = STEPS = ("both", "sign", "drop")


@dataclass(frozen=True, slots=True)
class Trust:
    """What a member works with: `root` makes its certificate, `believed` are the roots of whom it lets in (PEM, one or two)."""

    root: ca.KeyPair
    believed: str

    @property
    def mark(self) -> str:
        """A short text that tells one trust from another, and nothing else."""
        return hashlib.sha256(f"{self.root.certificate}\n\n{self.believed}".encode()).hexdigest()[:32]


def new_root() -> ca.KeyPair:
    """A root for members."""
    return ca.new_root(ca.MEMBER_BACKDATE_SECONDS)


def begun(present: ca.KeyPair) -> Doc:
    """A new exchange."""
    following = new_root()
    pairs = {"Root": present.certificate, "Key": present.key, "Next": following.certificate, "NextKey": following.key}
    return {"Step": BOTH, **pairs, "Turn": "", "Again": False}


def wanted(exchange: Doc) -> Trust:
    """What every member is to work with at the exchange's step."""
    present, following = ca.KeyPair(exchange["Root"], exchange["Key"]), ca.KeyPair(exchange["Next"], exchange["NextKey"])
    both = present.certificate.rstrip() + "\n" + following.certificate
    if exchange["Step"] == BOTH:
        return Trust(present, both)
    return Trust(following, both if exchange["Step"] == SIGN else following.certificate)


def moved(exchange: Doc) -> Doc | None:
    """The next step, of the next exchange where another one was asked for; None at the end."""
    if exchange["Step"] != DROP:
        return {**exchange, "Step": STEPS[STEPS.index(exchange["Step"]) + 1], "Turn": ""}
    return begun(ca.KeyPair(exchange["Next"], exchange["NextKey"])) if exchange["Again"] else None
