"""The null driver: a namespace with a loopback only; there is one such network, `none`."""

from scow.network.drivers.host import HostDriver


class NullDriver(HostDriver):
    """Like host, nothing to make: the sandbox has a namespace of its own all the same."""

    name = "null"
