"""Reads `--security-opt`. Called by `checks.py` and `spec.py`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scow.errors import InvalidArgument
from scow.runtime import seccomp


@dataclass(frozen=True, slots=True)
class Security:
    """What the options ask for; `profile` None = seccomp is off."""

    no_new_privileges: bool = False
    profile: dict[str, Any] | None = None
    apparmor: str = ""
    unmasked: bool = False


_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def parse(options: Iterable[str], privileged: bool = False) -> Security:
    """Raises InvalidArgument with dockerd's texts for an option it does not know and for a broken seccomp profile."""
    no_new, apparmor, unmasked = False, "", False
    text: str | None = None
    for option in options:
        if option in ("no-new-privileges", "disable", "systempaths=unconfined"):
            no_new = no_new or option == "no-new-privileges"
            unmasked = unmasked or option.startswith("systempaths")
            continue
        # Older clients separate with a colon; a profile may itself contain either character.
        cut = option.find("=") if "=" in option else option.find(":")
        if cut < 0:
            raise InvalidArgument(f'invalid --security-opt 1: "{option}"')
        key, value = option[:cut], option[cut + 1 :]
        if key == "label":
            continue
        if key == "apparmor":
            apparmor = value
        elif key == "seccomp":
            text = value
        elif key in ("no-new-privileges", "writable-cgroups"):
            if value not in _TRUE | _FALSE:
                raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
            if key == "no-new-privileges":
                no_new = value in _TRUE
        else:
            raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
    profile: dict[str, Any] | None
    if text == "unconfined" or (privileged and text is None):
        profile = None
    elif text is None or text in ("", "builtin"):
        profile = seccomp.default_profile()
    else:
        profile = seccomp.parse(text)
    return Security(no_new, None if privileged and text in (None, "", "builtin") else profile, apparmor, unmasked)
