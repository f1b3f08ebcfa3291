"""What a user is told of a service that is taken all the same. Called by the API when one is made or changed; nothing is stored."""

from collections.abc import Mapping
from typing import Any

from scow.kernel import protocols


def of_service(spec: Mapping[str, Any]) -> list[str]:
    """Sentences for the reply's Warnings; `spec` as the client sent it. This host's kernel stands for those of the tasks' nodes."""
    ports = (spec.get("EndpointSpec") or {}).get("Ports") or ()
    if any(row.get("Protocol") == "sctp" for row in ports) and not protocols.has_sctp():
        return [protocols.no_sctp("The service")]
    return []
