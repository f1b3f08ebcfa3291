"""Options of a tmpfs: checked against what the kernel and the runtime take, merged with Docker's defaults."""

import re

from scow.errors import InvalidArgument

DEFAULTS = ("noexec", "nosuid", "nodev")
_FLAGS = {
    "ro": "rw", "rw": "ro", "exec": "noexec", "noexec": "exec", "suid": "nosuid", "nosuid": "suid", "dev": "nodev", "nodev": "dev",
    "sync": "async", "async": "sync", "dirsync": "", "remount": "", "mand": "nomand", "nomand": "mand", "atime": "noatime",
    "noatime": "atime", "diratime": "nodiratime", "nodiratime": "diratime", "bind": "", "rbind": "", "unbindable": "", "runbindable": "",
    "private": "", "rprivate": "", "shared": "", "rshared": "", "slave": "", "rslave": "", "relatime": "norelatime",
    "norelatime": "relatime", "strictatime": "nostrictatime", "nostrictatime": "strictatime", "defaults": "",
}  # fmt: skip
_DATA = re.compile(
    r"(size=\d+[kmgtKMGT%]?|mode=[0-7]{1,4}|uid=\d{1,10}|gid=\d{1,10}|nr_inodes=\d+[kmgKMG]?|nr_blocks=\d+[kmgKMG]?|mpol=[\w:,=-]+)\Z"
)


def merge(text: str, defaults: tuple[str, ...] = DEFAULTS) -> tuple[str, ...]:
    """The options of `text` over `defaults`; a later one replaces its opposite. Raises InvalidArgument."""
    result = list(defaults)
    for option in text.split(","):
        if not option:
            continue
        if option in _FLAGS:
            result = [o for o in result if o not in (_FLAGS[option], option)]
        elif _DATA.match(option):
            key = option.partition("=")[0] + "="
            result = [o for o in result if not o.startswith(key)]
        else:
            raise InvalidArgument(f'invalid tmpfs option "{option}"')
        if option != "defaults":
            result.append(option)
    return tuple(result)
