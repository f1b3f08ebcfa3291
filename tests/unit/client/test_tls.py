"""TLS with half-close, between two ends of a socket pair."""

import socket
import ssl
import threading

import pytest

from scow.client.tls import TlsSocket
from tests.support.tls import authority


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("tls"))


class _Server:
    """Reads to the client's end, then answers with what it read, twice."""

    def __init__(self, files):
        self.sock, self._sock = socket.socketpair()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files / "cert.pem", files / "key.pem")
        self._tls = context.wrap_bio(incoming := ssl.MemoryBIO(), outgoing := ssl.MemoryBIO(), server_side=True)
        self._in, self._out = incoming, outgoing
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _step(self, work):
        while True:
            try:
                return work()
            except ssl.SSLWantReadError:
                self._sock.sendall(self._out.read())
                data = self._sock.recv(65536)
                if not data:
                    raise OSError("gone") from None
                self._in.write(data)

    def _serve(self):
        try:
            self._step(self._tls.do_handshake)
            self._sock.sendall(self._out.read())
            got = b""
            while True:
                try:
                    piece = self._step(lambda: self._tls.read(65536))
                except ssl.SSLZeroReturnError:
                    break
                if not piece:
                    break
                got += piece
            for _ in range(2):
                view = memoryview(got)
                while view:
                    view = view[self._tls.write(view) :]
            self._sock.sendall(self._out.read())
        except OSError:
            pass
        finally:
            self._sock.close()


def _context(files):
    return ssl.create_default_context(cafile=files / "ca.pem")


def test_data_comes_after_our_own_end(files):
    server = _Server(files)
    ours = TlsSocket(server.sock, _context(files), "127.0.0.1")
    data = bytes(range(256)) * 1000
    ours.sendall(data)
    ours.shutdown(1)
    got = b""
    while piece := ours.recv(1000):
        got += piece
    assert got == data * 2
    assert ours.recv(10) == b"" and ours.pending() == 0
    ours.close()


def test_another_name_is_refused(files):
    server = _Server(files)
    with pytest.raises(ssl.SSLCertVerificationError):
        TlsSocket(server.sock, _context(files), "elsewhere.example")
    server.sock.close()


def test_an_end_during_the_handshake(files):
    here, there = socket.socketpair()
    there.close()
    with pytest.raises(OSError):
        TlsSocket(here, _context(files), "127.0.0.1")
    here.close()
