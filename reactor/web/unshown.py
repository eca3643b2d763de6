"""The one secret among the policies: the path of the address in ``notify``, by which whoever knows it posts in your name.

Whoever looks sees its host. Whoever edits gets the same and sends it back, which leaves the address as it is.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from reactor.store.control import Policy

KEY: Final = "notify"
_REST: Final = "/…"


def shown(policy: Policy) -> Policy:
    """The policy as it may be seen."""
    return policy._replace(value=shown_value(policy.key, policy.value))


def shown_value(key: str, value: Any) -> Any:
    """A value that policy ``key`` has or had, as it may be seen."""
    if key != KEY or not isinstance(value, Mapping) or not value.get("url"):
        return value
    parts = urlsplit(str(value["url"]))
    return {**value, "url": f"{parts.scheme}://{parts.netloc}{_REST}"}


def meant(key: str, patch: str) -> str:
    """The change ``patch`` (JSON) without an address that is only as it was shown."""
    if key != KEY:
        return patch
    change = json.loads(patch)
    if isinstance(change, dict) and str(change.get("url", "")).endswith(_REST):
        del change["url"]
    return json.dumps(change)
