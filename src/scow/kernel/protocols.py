"""Transport protocols that a kernel may lack. Asked by who publishes ports; nothing is stored."""

import errno
import socket

SCTP = 132


def has_sctp() -> bool:
    """Whether sockets of SCTP can be made here; asking loads the kernel's module where there is one."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP).close()
    except OSError as error:
        return error.errno not in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)
    return True


def no_sctp(what: str) -> str:
    """The sentence for the user: `what` publishes ports that nothing on this host can answer."""
    return (
        f"{what} publishes sctp ports, but this host's kernel has no SCTP: nothing here can answer there. "
        "Load its module (modprobe sctp) or use a kernel with CONFIG_IP_SCTP"
    )
