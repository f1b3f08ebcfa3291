"""What the fields of the model hold. `codec.py` reads and prints a field by the name of its kind, as it stands in the annotation; nothing
imports these names when it runs.

"", 0, False, () and {} stand for "not given" where None is not allowed.
"""

from typing import Any

Extensions = dict[str, Any]
Bytes = int
Duration = int  # nanoseconds
Cpus = float
Mode = int  # of a file, as a number
OptOut = bool  # true where nothing is given
Count = int  # of devices: -1 is all
Words = tuple[str, ...]
Command = tuple[str, ...]  # words of a command line; where None is allowed it means "the image's", () means "none"
Test = tuple[str, ...]  # words of a health check; one text is run by a shell
Mapping = dict[str, str]
Environment = dict[str, str | None]  # None: to be taken from the client's environment, and unset there
Hosts = dict[str, tuple[str, ...]]  # name -> addresses
External = bool
