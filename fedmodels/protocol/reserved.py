"""What a party may say of itself: any code but those that only the coordinator gives.

A party that could refuse itself as `late` would never rest and be salvaged; as `changed-since`, it would
make an honest record look forged.
"""

import re

COORDINATOR_CODES = frozenset(
    {
        *("late", "late-after-resume", "session-died", "session-cancelled", "changed-since"),
        *("duplicate", "not-asked", "not-late", "too-stale", "update-missing", "signature-invalid"),
        *("receipt-too-large", "receipt-malformed", "receipt-implausible"),
        *("wrong-party", "wrong-run", "wrong-round", "wrong-plan", "wrong-base"),
    }
)
"""Codes that say what the coordinator saw, or did not see."""
LONGEST_REASON = 2000
"""Characters."""
_CODE = re.compile(r"[a-z][a-z0-9-]{0,59}")


def may_say(code: str, reason: str) -> bool:
    """Whether a party may refuse itself with this code and sentence."""
    return bool(_CODE.fullmatch(code)) and code not in COORDINATOR_CODES and len(reason) <= LONGEST_REASON
