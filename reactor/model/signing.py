"""Signatures of what we send, after the Standard Webhooks convention, which receivers have libraries for.

``webhook-signature`` is ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``; the secret ``whsec_`` and base64.
"""

import base64
import hashlib
import hmac


def signature_of(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed_headers(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """What a receiver needs to know who sent ``body``, and whether it has it; ``id`` is the same in every attempt."""
    return {
        "content-type": "application/json",
        "idempotency-key": id,
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature_of(secret, id, timestamp, body),
    }
