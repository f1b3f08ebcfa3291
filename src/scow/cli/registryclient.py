"""A small registry client for `scow manifest`, which docker's command line runs without the engine: synchronous, standard library."""

import base64
import http.client
import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from scow.errors import ScowError

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ACCEPT = ", ".join((MANIFEST, MANIFEST_LIST, OCI_MANIFEST, OCI_INDEX))
_MAX = 8 << 20
_TIMEOUT = 60
_PAIR = re.compile(r'([A-Za-z_]+)="([^"]*)"')


class Refused(ScowError):
    """The registry said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.code = status


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects of GET go without the password; others are not followed."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        found = super().redirect_request(req, fp, code, msg, headers, newurl)
        if found is not None and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            found.remove_header("Authorization")
        return found


class RegistryClient:
    """One repository of a registry. `insecure`: plain HTTP and bad certificates are taken."""

    def __init__(self, domain: str, path: str, auth: dict[str, str], insecure: bool, actions: str = "pull") -> None:
        self.host = "registry-1.docker.io" if domain == "docker.io" else domain
        self.path = path
        self.scopes = [f"repository:{path}:{actions}"]
        self._auth = auth
        self._header = ""
        self._schemes = ["https", "http"] if insecure else ["https"]
        context = ssl.create_default_context()
        if insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirect())

    def request(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[bytes, Any]:
        """(body, headers) of /v2/<repository>/<path>, or of an absolute URL. Raises ScowError."""
        error: Exception | None = None
        for scheme in list(self._schemes):
            url = path if "://" in path else f"{scheme}://{self.host}/v2/{self.path}/{path}"
            try:
                answer = self._logged_in(method, url, body, headers or {})
            except (urllib.error.URLError, OSError, http.client.HTTPException) as exc:
                error = exc
                continue
            self._schemes = [scheme]
            return answer
        reason = getattr(error, "reason", error)
        raise ScowError(f'{method.capitalize()} "{self.host}": {reason}')

    def _logged_in(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> tuple[bytes, Any]:
        for again in (True, False):
            fields = dict(headers)
            if self._header and urllib.parse.urlsplit(url).netloc == self.host:
                fields["Authorization"] = self._header
            try:
                return self._send(method, url, body, fields)
            except urllib.error.HTTPError as exc:
                data = exc.read(64 << 10)
                if exc.code == 401 and again and self._answer(exc.headers.get("WWW-Authenticate") or "", url):
                    continue
                raise Refused(exc.code, _sentence(exc.code, data)) from None
        raise AssertionError("unreachable")

    def _send(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> tuple[bytes, Any]:
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        with self._opener.open(request, timeout=_TIMEOUT) as response:
            data = response.read(_MAX + 1)
            if len(data) > _MAX:
                raise ScowError(f"{url}: the answer is too large")
            return data, response.headers

    def _answer(self, challenge: str, url: str) -> bool:
        user, password = self._auth.get("username", ""), self._auth.get("password", "")
        basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        if challenge.lower().startswith("basic"):
            if not basic:
                raise ScowError(f'Get "{url}": no basic auth credentials')
            self._header = basic
            return True
        if not challenge.lower().startswith("bearer"):
            return False
        found = dict(_PAIR.findall(challenge))
        realm = urllib.parse.urlsplit(found.get("realm", ""))
        if realm.scheme not in ("http", "https") or not realm.netloc:
            return False
        own = realm.scheme == "https" or realm.hostname == urllib.parse.urlsplit(url).hostname
        token = self._auth.get("identitytoken", "") if own else ""
        try:
            if token:
                form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "docker", "scope": " ".join(self.scopes)}
                form["service"] = found.get("service", "")
                data, _ = self._send("POST", realm.geturl(), urllib.parse.urlencode(form).encode(), {})
            else:
                query = urllib.parse.urlencode([("service", found.get("service", "")), *(("scope", one) for one in self.scopes)])
                data, _ = self._send(
                    "GET",
                    f"{realm.geturl()}{'&' if realm.query else '?'}{query}",
                    None,
                    {"Authorization": basic} if basic and own else {},
                )
            answer = json.loads(data)
            self._header = f"Bearer {answer.get('token') or answer['access_token']}"
        except urllib.error.HTTPError as exc:
            raise Refused(exc.code, _sentence(exc.code, exc.read(64 << 10))) from None
        except (ValueError, KeyError, AttributeError):
            raise ScowError("the token server gave no token") from None
        return True


def _sentence(status: int, data: bytes) -> str:
    try:
        first = json.loads(data)["errors"][0]
        return f"{str(first.get('code') or '').lower().replace('_', ' ')}: {first.get('message') or ''}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return f"received unexpected HTTP status: {status}"
