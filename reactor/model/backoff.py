"""How long to wait before trying again."""

# Doublings beyond this change nothing a cap would let through, and keep 2.0 ** n a finite float.
_MOST_DOUBLINGS = 64


def delay(attempt: int, *, base_s: float, cap_s: float, chance: float) -> float:
    """Seconds to wait after the failure number ``attempt`` (the first is 0): exponential with full jitter.

    Uniform between 0 and ``min(cap_s, base_s * 2 ** attempt)``, so that many who failed together do not come
    back together (the "full jitter" of Brooker's "Exponential Backoff and Jitter", AWS architecture blog,
    2015). ``chance`` is the caller's die, in [0, 1).
    """
    if attempt < 0:
        raise ValueError(f"attempts are counted from 0, got {attempt}")
    return chance * min(cap_s, base_s * 2.0 ** min(attempt, _MOST_DOUBLINGS))
