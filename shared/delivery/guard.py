"""The guard against requests that are forged through us (SSRF): where an outgoing HTTP request may go.

An endpoint's host is looked up once, every address that it has is judged, and the request goes to the judged address
itself, so that a second look-up cannot lead elsewhere. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx2

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class Refused(Exception):
    """The request may not go there. The text says why, for whoever configures the endpoint."""


def allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Public addresses, and those of `networks`. An IPv4 address in IPv6 clothes is judged as what it is."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return allowed(inner, networks)
        if address in _NAT64:
            return allowed(IPv4Address(int(address) & 0xFFFFFFFF), networks)
    if any(address.version == network.version and address in network for network in networks):
        return True
    return address.is_global and not address.is_multicast


_NAT64 = IPv6Network("64:ff9b::/96")


async def pinned(url: str, networks: Sequence[Network]) -> tuple[httpx2.URL, dict[str, str], dict[str, str]]:
    """`url` with the judged address in place of its host, the headers and the extensions that go with it.

    Raises Refused, or OSError when the host cannot be found.
    """
    parsed = httpx2.URL(url)
    if parsed.scheme not in ("https", "http") or not parsed.host:
        raise Refused("only http(s) addresses can be called")
    if parsed.userinfo:
        raise Refused("a user name or password in the address is not allowed: use the endpoint's secret")
    port = parsed.port or (443 if parsed.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(parsed.host, port, type=socket.SOCK_STREAM)
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        if not allowed(address, networks):
            raise Refused(
                "the host has an address that is not public; if it is meant, add its network to "
                "AMENDS_DELIVERY_ALLOW_NETWORKS"
            )
    if parsed.scheme == "http" and not all(_listed(address, networks) for address in addresses):
        raise Refused("plain http is only allowed to networks in AMENDS_DELIVERY_ALLOW_NETWORKS: use https")
    host = parsed.host if parsed.port is None else f"{parsed.host}:{parsed.port}"
    return parsed.copy_with(host=str(addresses[0])), {"host": host}, {"sni_hostname": parsed.host}


def _listed(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
