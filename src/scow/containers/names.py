"""Names of containers: which are allowed, and made-up ones (adjective_surname)."""

import re
import secrets
from collections.abc import Callable

from scow.errors import InvalidArgument

_ALLOWED = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")

_ADJECTIVES = """
able amber ample arctic bold brave breezy bright brisk calm candid careful clever coastal cool cosy crisp curious daring deft
eager early earnest easy elegant even fair fast fearless fine fond frank fresh friendly gentle glad golden grand hardy hearty
honest humble jolly keen kind lively loyal lucid lucky mellow merry mild modest neat nimble noble open patient placid plain polite
prime proud prudent quick quiet rapid ready robust rosy safe sharp silent silver simple sleek smart smooth snug sober solid spry
stable steady still stout sturdy sunny swift tender thrifty tidy tranquil trim true trusty upbeat useful valiant vivid warm wise
witty zesty
"""
_SURNAMES = """
abel ampere babbage bell bernoulli bohr boole boyle braun cantor carson cauchy celsius cook curie darwin davy descartes dijkstra
dirac edison einstein euclid euler faraday fermat fermi feynman fibonacci fleming fourier franklin galilei galois gauss gibbs
goodall hamilton heisenberg herschel hertz hilbert hooke hopper hubble huygens jacobi joule kelvin kepler knuth lagrange lamarr
laplace leibniz linnaeus lovelace maxwell meitner mendel morse napier newton noether ohm pascal pasteur pauli planck poincare
ptolemy ramanujan riemann ritchie rutherford sagan shannon tesla thales thompson torvalds turing volta watt weber wiles wright
zeno zuse
"""


def check(name: str) -> str:
    """The name without its leading slash. Raises InvalidArgument with Docker's text."""
    if not _ALLOWED.match(name):
        raise InvalidArgument(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return name.removeprefix("/")


def generate(taken: Callable[[str], bool], fallback: str) -> str:
    """A free made-up name; `fallback` (the short id) when the words run out."""
    adjectives, surnames = _ADJECTIVES.split(), _SURNAMES.split()
    for attempt in range(12):
        name = f"{secrets.choice(adjectives)}_{secrets.choice(surnames)}"
        if attempt > 3:
            name += str(secrets.randbelow(10))
        if not taken(name):
            return name
    return fallback
