"""Addresses of networks: inside, outside, and of other sizes."""

import ipaddress
from collections.abc import Iterable

from dbkit.sample_data.texts import Inverse, for_each, read_integer

USUAL = (
    "10.0.0.0/8",
    "10.1.2.3",
    "192.168.0.0/16",
    "192.168.1.0/24",
    "2001:db8::1",
    "2001:db8::/32",
    "255.255.255.255",
    "0.0.0.0/0",
)


def vary_network(text: str) -> list[str]:
    """Return the address, its network, ones inside and outside, and ones of other sizes."""
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        return [text, *USUAL]
    network, step = interface.network, int(interface.network.num_addresses)
    first = int(network.network_address)
    largest = 2**network.max_prefixlen - 1
    near = [
        str(ipaddress.ip_address(min(max(number, 256 if network.version == 4 else 2**33), largest)))
        for number in (first + 1, first + step, first - 1)
    ]
    sizes = [
        f"{network.network_address}/{size}"
        for size in (network.prefixlen + 1, network.prefixlen - 1)
        if 0 <= size <= network.max_prefixlen
    ]
    return [text, near[0], str(network), *near[1:], *sizes, *USUAL]


def _host(target: str, _arguments: object, _position: int) -> Iterable[str]:
    return target, f"{target}/24"


def _family(target: str, _arguments: object, _position: int) -> Iterable[str]:
    return (
        ("10.0.0.1", "10.0.0.0/8")
        if read_integer(target) == 4
        else ("2001:db8::1",)
        if read_integer(target) == 6
        else ()
    )


def _size(target: str, _arguments: object, _position: int) -> Iterable[str]:
    size = read_integer(target, -1)
    return (
        (f"0.0.0.0/{size}", f"2001:db8::/{max(size, 32)}")
        if 0 <= size <= 32
        else (f"::/{size}",)
        if size <= 128
        else ()
    )


def _network(target: str, _arguments: object, _position: int) -> Iterable[str]:
    return vary_network(target)[:5]


INVERSES: dict[str, Inverse] = {
    **dict.fromkeys(("host", "abbrev", "text"), for_each(_host)),
    "family": for_each(_family),
    "masklen": for_each(_size),
    **dict.fromkeys(("network", "broadcast", "set_masklen"), for_each(_network)),
}
"""By function, its inverse."""
