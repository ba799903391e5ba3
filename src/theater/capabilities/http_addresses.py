"""Which addresses are somebody's own: what an actor reaches only where its grant names it."""

from __future__ import annotations

import ipaddress

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_GLOBAL = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out for anybody to reach."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_6TO4 = ipaddress.IPv6Network("2002::/16")


def is_public(address: IpAddress) -> bool:
    """Whether it is one of the whole internet's: neither private, shared, local, multicast, nor for documentation.

    An IPv6 address that stands for an IPv4 one (mapped, NAT64, 6to4) is as public as that is.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    embedded = embedded_address(address)
    if embedded is not None:
        return is_public(embedded)
    return address in _GLOBAL and address.is_global and not address.is_multicast


def embedded_address(address: IpAddress) -> ipaddress.IPv4Address | None:
    """The IPv4 address to which a packet for this IPv6 one goes in the end, as far as its form tells."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour if address in _6TO4 else None
