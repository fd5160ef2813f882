"""How commands come to another collector: its address, the token, the certificates."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from netstat_cli.errors import UsageProblem

if TYPE_CHECKING:
    import requests

F = TypeVar("F", bound=Callable[..., Any])


class Credentials(NamedTuple):
    """Files that say who this is, and who the other one may be."""

    token_file: str | None
    ca_cert: str | None
    client_cert: str | None
    client_key: str | None

    def session(self, peer: str) -> requests.Session:
        """Make a session for a peer that bears them and nothing else: no password of ~/.netrc, no proxy for loopback.
        Raises UsageProblem for an address that is none and a file that cannot be read."""
        from netstat_cli.transport.exchange import is_direct, new_session, peer_url

        url = peer_url(peer)
        session = new_session({} if is_direct(url) else _environment_proxies(url))
        if (path := self.token_file or systemd_credential("token")) is not None:
            session.headers["Authorization"] = f"Bearer {read_tokens(path)[0]}"
        for needed in (self.ca_cert, self.client_cert, self.client_key):
            if needed is not None and not os.access(needed, os.R_OK):
                raise UsageProblem(f"cannot read {needed}")
        session.verify = self.ca_cert or (url.startswith("https:") and _environment_authorities()) or True
        if self.client_cert is not None:
            session.cert = (self.client_cert, self.client_key) if self.client_key else self.client_cert
        return session


def _environment_proxies(url: str) -> dict[str, str]:
    """$http_proxy, $https_proxy and $all_proxy, unless $no_proxy exempts the host."""
    from requests.utils import get_environ_proxies

    return get_environ_proxies(url)


def _environment_authorities() -> str | None:
    """The file of $REQUESTS_CA_BUNDLE or $CURL_CA_BUNDLE, where no --ca-cert says whom to trust."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := os.environ.get(name):
            if not os.access(path, os.R_OK):
                raise UsageProblem(f"cannot read {path}, which ${name} names", hint="give --ca-cert FILE")
            return path
    return None


def from_option(command: F) -> F:
    """--from URL, and what goes with it."""
    return click.option("--from", "peer", metavar="URL", help="Read from another collector instead of the store.")(
        peer_options(command)
    )


def peer_options(command: F) -> F:
    """--token-file, --ca-cert, --client-cert, --client-key, handed over together as `credentials`."""

    @wraps(command)
    def gathered(*arguments: Any, **options: Any) -> Any:
        names = ("token_file", "ca_cert", "client_cert", "client_key")
        credentials = Credentials(*(options.pop(name) for name in names))
        return command(*arguments, credentials=credentials, **options)

    wrapped: Any = gathered
    for name, what in (
        ("--client-key", "The key of --client-cert."),
        ("--client-cert", "The certificate that says who this is."),
        ("--ca-cert", "Whose word to take for who the peer is."),
        ("--token-file", "The file with the token that the peer wants."),
    ):
        wrapped = click.option(name, metavar="FILE", help=what)(wrapped)
    return wrapped  # type: ignore[no-any-return]


def systemd_credential(name: str) -> str | None:
    """The path of a credential that systemd passed to this service (LoadCredential=)."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = f"{folder}/netcli-{name}" if folder else None
    return path if path and os.path.exists(path) else None


def read_tokens(path: str) -> list[str]:
    """The tokens in a file, one a line; empty lines and lines that begin with # do not count. Raises UsageProblem."""
    try:
        with open(path, encoding="ascii") as file:
            tokens = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    except (OSError, ValueError) as error:
        raise UsageProblem(f"cannot read tokens from {path}: {getattr(error, 'strerror', None) or error}") from error
    if not tokens:
        raise UsageProblem(f"there is no token in {path}", hint="put one in it: openssl rand -hex 32")
    return tokens
