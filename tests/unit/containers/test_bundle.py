"""What a bundle is made of."""

from pathlib import Path

import pytest

from scow.containers.bundle import with_engine_security
from scow.containers.parts import Defaults
from scow.errors import InvalidArgument
from scow.model.container import HostConfig


def test_the_daemons_security_options_hold_where_the_container_says_nothing(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text("{}")
    defaults = Defaults(no_new_privileges=True, seccomp_profile=str(profile))
    assert with_engine_security(HostConfig(), defaults).security_opt == ["no-new-privileges", "seccomp={}"]
    own = HostConfig(security_opt=["seccomp=unconfined", "no-new-privileges=false"])
    assert with_engine_security(own, defaults) is own
    with pytest.raises(InvalidArgument, match="seccomp profile"):
        with_engine_security(HostConfig(), Defaults(seccomp_profile="/no/such/file"))
