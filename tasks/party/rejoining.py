"""What a session that was started again finds of the one before it."""

from fedmodels.protocol.messages import Announcement
from infra.fault_points import fault_step
from infra.layout import receipt_key
from infra.waiting import outlasting
from tasks.party.session import PartySession


@outlasting
@fault_step
def has_submitted(session: PartySession, announcement: Announcement) -> bool:
    """Whether this party's receipt for the round stands already."""
    return session.store.exists(receipt_key(session.party, session.run, announcement.round))
