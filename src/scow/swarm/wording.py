"""What clients hear when the cluster refuses something, worded as swarmkit's gRPC: they and people's scripts look for these texts."""

from scow.errors import InvalidArgument


def rpc(code: str, text: str) -> str:
    """A sentence with its gRPC code, such as FailedPrecondition."""
    return f"rpc error: code = {code} desc = {text}"


def invalid(text: str) -> InvalidArgument:
    """The error for what cannot be meant."""
    return InvalidArgument(rpc("InvalidArgument", text))


def precondition(text: str) -> InvalidArgument:
    """The error for what the state of the cluster does not allow."""
    return InvalidArgument(rpc("FailedPrecondition", text))
