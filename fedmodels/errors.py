"""Every error that fedcart raises on purpose, split by what the caller does next.

    FedcartError
    ├── TransientError        try the same call again (tasks retry these, and nothing else)
    │   ├── StoreUnavailable      the object store does not answer, or a proxy before it (408, 502, 503, 504)
    │   │   └── StoreLost             so it is for whoever watches a run, which may go on
    │   ├── StoreBusy             the object store asks to come back later (409, 429, 500, SlowDown)
    │   └── PrefectAway           the Prefect server does not answer
    ├── PartyError            leave this party out of the round, go on with the others
    │   ├── PolicyForbids         the party's own policy forbids what the plan proposes
    │   ├── DataRefused           the party's data break their contract
    │   ├── UpdateRefused         an update did not pass admission
    │   └── TrainingFailed        local training could not finish
    └── RunError              stop; a person (or a later resume) has to act
        ├── InputError            a recipe, setting, argument or file of the user's is wrong
        ├── StoreRefused          the object store rejects the credentials or the operation
        ├── StackError            a local server or worker did not start, or died
        ├── IntegrityError        bytes differ from the hash that names them
        ├── HubAway               the hub that a model is fetched from does not answer
        ├── QuorumMissed          fewer parties answered than the recipe requires
        ├── TooManyFailures       more rounds failed than the recipe allows
        └── RunConflict           another coordinator owns the run, or it cannot be resumed

A message is one sentence that names the thing, the value, the bound and the next step. It never
carries a row of data, a key or a path of a party's machine: Prefect stores exception text.
"""

import re
from typing import ClassVar

_CODED = re.compile(r"([a-z][a-z0-9-]*): (.+)", re.DOTALL)


class FedcartError(Exception):
    """Root of the tree. `code` is stable and machine-readable; `str(error)` is for people.

    Args:
        sentence: what is wrong: the thing, its value and the bound, without the final full stop.
        fix: what to do next, as an imperative clause; joined to the sentence by a semicolon.
        code: a narrower code than the class's default, e.g. `update-not-finite`.
    """

    default_code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, sentence: str, *, fix: str = "", code: str | None = None) -> None:
        self.sentence = sentence
        self.fix = fix
        self.code = code or self.default_code
        super().__init__(f"{sentence}; {fix}." if fix else f"{sentence}.")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.sentence, self.fix, self.code)


def _rebuild(cls: type[FedcartError], sentence: str, fix: str, code: str) -> FedcartError:
    """Unpickle with the keyword arguments that `Exception` would forget."""
    return cls(sentence, fix=fix, code=code)


def write_coded(error: FedcartError) -> str:
    """Code and sentence in one line, as a flow leaves them of the error that ended it: `code: sentence.`"""
    return f"{error.code}: {error}"


def read_coded(message: str) -> tuple[str, str] | None:
    """Code and sentence of a line of `write_coded`; `None` of any other message."""
    said = _CODED.fullmatch(message)
    return (said[1], said[2]) if said else None


class TransientError(FedcartError):
    """Try the same call again."""

    default_code = "transient"
    exit_status = 75


class StoreUnavailable(TransientError):
    """The object store does not answer."""

    default_code = "store-unavailable"


class StoreLost(StoreUnavailable):
    """The object store of a run that is watched does not answer; the run may go on."""


class StoreBusy(TransientError):
    """The object store asks to come back later."""

    default_code = "store-busy"


class PrefectAway(TransientError):
    """The Prefect server does not answer; runs go on without it, and nothing starts."""

    default_code = "prefect-unreachable"


class PartyError(FedcartError):
    """Leave this party out of the round."""

    default_code = "party-error"


class PolicyForbids(PartyError):
    """The party's own policy forbids what the plan proposes."""

    default_code = "policy-forbids"


class DataRefused(PartyError):
    """The party's data break their contract; the message names the expectation and no value."""

    default_code = "data-refused"


class UpdateRefused(PartyError):
    """An update did not pass admission."""

    default_code = "update-refused"


TRAINING_CANCELLED = "training-cancelled"
"""Code of a training that stopped because it was told to."""


class TrainingFailed(PartyError):
    """Local training could not finish."""

    default_code = "training-failed"


def training_cancelled() -> TrainingFailed:
    """What a training that was told to stop ends with."""
    return TrainingFailed("The training was cancelled", code=TRAINING_CANCELLED)


class RunError(FedcartError):
    """Stop the run: a person, or a later resume, has to act."""

    default_code = "run-error"


class InputError(RunError):
    """A recipe, setting, argument or file of the user's is wrong."""

    default_code = "input-invalid"
    exit_status = 2


class StoreRefused(RunError):
    """The object store rejects the credentials or the operation."""

    default_code = "store-refused"


class StackError(RunError):
    """A local server or worker did not start, or died."""

    default_code = "stack-error"


class IntegrityError(RunError):
    """Bytes differ from the hash that names them."""

    default_code = "integrity"


class HubAway(RunError):
    """The hub that a model is fetched from does not answer. Its own client has tried again already."""

    default_code = "hub-unreachable"
    exit_status = 75


class QuorumMissed(RunError):
    """Fewer parties answered than the recipe requires."""

    default_code = "quorum-missed"


class TooManyFailures(RunError):
    """More rounds failed than the recipe allows; the run is closed."""

    default_code = "too-many-failed-rounds"


class RunConflict(RunError):
    """Another coordinator owns the run, or it cannot be resumed."""

    default_code = "run-conflict"
