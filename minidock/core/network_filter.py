"""Which networks `network ls -f` and `network prune --filter` are about.

Values of one filter are alternatives, but all of ``label`` must be there and none of ``label!``; different filters must
all hold. Source: moby, daemon/network/filter.go, as seen from outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from minidock.core.filters import has_label, truth
from minidock.core.networks import BRIDGE, HOST, NONE, Network
from minidock.errors import InvalidRequest

_TYPES = ("builtin", "custom")
_BUILT_IN = (BRIDGE, HOST, NONE)


def select_networks(
    networks: Sequence[Network], filters: Sequence[tuple[str, str]], is_used: Callable[[Network], bool]
) -> list[Network]:
    """Return the networks that (key, value) pairs leave, in their order. Raises: InvalidRequest in docker's words."""
    values: dict[str, list[str]] = {}
    for key, value in filters:
        values.setdefault(key, []).append(value)
    found = list(networks)
    for key, given in values.items():
        test = _test(key, given, is_used)
        found = [network for network in found if test(network)]
    return found


def _test(key: str, given: Sequence[str], is_used: Callable[[Network], bool]) -> Callable[[Network], bool]:
    match key:
        case "driver":
            return lambda network: network.driver in given
        case "id":
            return lambda network: any(_is_part(value, network.id) for value in given)
        case "label":
            return lambda network: all(has_label(network.labels, value) for value in given)
        case "name":
            return lambda network: any(_is_part(value, network.name) for value in given)
        case "scope":
            return lambda network: "local" in given
        case "type":
            wrong = next((value for value in given if value not in _TYPES), None)
            if wrong is not None:
                raise InvalidRequest(f"invalid filter: 'type'='{wrong}'")
            return lambda network: _TYPES[network.name not in _BUILT_IN] in given
        case "dangling":
            return _dangling(given, is_used)
        case _:
            raise InvalidRequest(f"invalid filter '{key}'")


def _dangling(given: Sequence[str], is_used: Callable[[Network], bool]) -> Callable[[Network], bool]:
    is_wanted = truth(given[0])
    if len(given) > 1 or is_wanted is None:
        raise InvalidRequest(f"invalid filter 'dangling=[{' '.join(given)}]'")
    return lambda network: (network.name not in _BUILT_IN and not is_used(network)) == is_wanted


def select_prunable(
    networks: Sequence[Network], filters: Sequence[tuple[str, str]], moment: Callable[[str], datetime]
) -> list[Network]:
    """Return the networks that a prune may take as far as ``until``, ``label`` and ``label!`` say.

    ``moment`` reads a time. Raises: InvalidRequest in docker's words.
    """
    found = list(networks)
    for key, value in filters:
        match key:
            case "until":
                limit = moment(value)
                found = [network for network in found if network.created < limit]
            case "label":
                found = [network for network in found if has_label(network.labels, value)]
            case "label!":
                found = [network for network in found if not has_label(network.labels, value)]
            case _:
                raise InvalidRequest(f"invalid filter '{key}'")
    return found


def _is_part(wanted: str, text: str) -> bool:
    """Whether a text holds what is wanted, or fits it as an expression."""
    if wanted in text:
        return True
    try:
        return re.search(wanted, text) is not None
    except re.error:
        return False
