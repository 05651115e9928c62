"""The one place that spells keys of the bucket."""

from fedmodels.identifiers import COORDINATOR as COORDINATOR

PRIVATE = "private"
"""Below it lies what is the coordinator's alone, its data sets say: parties read below `COORDINATOR`."""


OWN = "own"
"""Below it, one folder a party, for that party alone: its data versions. Nobody else reads or lists there,
the coordinator neither: objects are named by their hashes, by which equal data would be recognised."""


def own_prefix(party: str) -> str:
    """What a party keeps in the bucket for itself."""
    return f"{OWN}/{party}/"


def plan_key(run: str) -> str:
    """Create-only: everything that is fixed for the run."""
    return f"{COORDINATOR}/runs/{run}/plan.json"


def head_key(run: str) -> str:
    """Compare-and-swap: where the run stands."""
    return f"{COORDINATOR}/runs/{run}/HEAD.json"


def closed_key(run: str) -> str:
    """Create-only: the run is over."""
    return f"{COORDINATOR}/runs/{run}/closed.json"


def round_key(run: str, round_number: int, message: str) -> str:
    """Create-only: `announcement`, `decision`, `candidate` or `record` of a round."""
    return f"{COORDINATOR}/runs/{run}/rounds/{round_number:04d}/{message}.json"


def model_key(sha256: str) -> str:
    """Content-addressed: a global model."""
    return f"{COORDINATOR}/blobs/{sha256}.safetensors"


def architecture_key(sha256: str) -> str:
    """Content-addressed: a model's configuration and tokenizer, without weights."""
    return f"{COORDINATOR}/blobs/{sha256}.zip"


def update_key(party: str, sha256: str) -> str:
    """Content-addressed: a party's update."""
    return f"parties/{party}/blobs/{sha256}.safetensors"


def session_key(party: str, run: str) -> str:
    """Lease of the party's session, by swap."""
    return f"parties/{party}/runs/{run}/session.json"


def receipt_key(party: str, run: str, round_number: int) -> str:
    """Create-only, signed: what the party submits to a round."""
    return f"parties/{party}/runs/{run}/rounds/{round_number:04d}/receipt.json"


def evaluation_key(party: str, run: str, round_number: int) -> str:
    """Create-only, signed: the party's scores of the candidate."""
    return f"parties/{party}/runs/{run}/rounds/{round_number:04d}/evaluation.json"


def runs_prefix() -> str:
    """Below it, one folder a run."""
    return f"{COORDINATOR}/runs/"


def run_at(key: str) -> str | None:
    """The run of which the coordinator's message at `key` is one; `None` of any other object."""
    run, below, _ = key.removeprefix(runs_prefix()).partition("/")
    return run if key.startswith(runs_prefix()) and below else None


def role_prefix(role: str) -> str:
    """Where a role writes, and nobody else does."""
    return f"{COORDINATOR}/" if role == COORDINATOR else f"parties/{role}/"


def parties_prefix() -> str:
    """Below it, one folder a party."""
    return "parties/"


def run_prefix(role: str, run: str) -> str:
    """What a role has written about one run."""
    return f"{role_prefix(role)}runs/{run}/"


def blobs_prefix(role: str) -> str:
    """A role's content-addressed objects."""
    return f"{role_prefix(role)}blobs/"


def sweeps_prefix(role: str) -> str:
    """What a role has swept, one object a sweep."""
    return f"{role_prefix(role)}sweeps/"


def sweep_key(role: str, name: str) -> str:
    """Content-addressed: what one sweep removed."""
    return note_key(sweeps_prefix(role), name)


def prunes_prefix() -> str:
    """What the coordinator has pruned, one object a prune."""
    return f"{COORDINATOR}/prunes/"


def note_key(prefix: str, name: str) -> str:
    """Create-only: what one sweep or prune removed, below the one prefix or the other."""
    return f"{prefix}{name}.json"


def all_releases_prefix() -> str:
    """Below it, one folder a recipe."""
    return f"{COORDINATOR}/releases/"


def releases_prefix(recipe: str) -> str:
    """Below it, one folder a release of the recipe, the champion and the champions before it."""
    return f"{all_releases_prefix()}{recipe}/"


def release_key(recipe: str, release: int, message: str) -> str:
    """Create-only: `request`, `report`, `signature`, `approval`, `lineage`, `spoilt`; `taken-N`, and
    `withdrawn-PARTY-N`."""
    return f"{releases_prefix(recipe)}{release:04d}/{message}.json"


def unreleasable_key(recipe: str, run: str) -> str:
    """Create-only: why the kept model of a run can never be released."""
    return f"{releases_prefix(recipe)}unreleasable/{run}.json"


def champion_key(recipe: str) -> str:
    """Compare-and-swap: the released model."""
    return f"{releases_prefix(recipe)}champion.json"


def champions_prefix(recipe: str) -> str:
    """Every content that the champion ever had, by hash, and of swaps that were lost."""
    return f"{releases_prefix(recipe)}champions/"


def past_champion_key(recipe: str, sha256: str) -> str:
    """Content-addressed: the champion as it was put at some time."""
    return f"{champions_prefix(recipe)}{sha256}.json"


def recorded_prefix(kind: str) -> str:
    """Below it, what DVC keeps of the releases that the models repository records; no party reads it."""
    return f"{PRIVATE}/{kind}"


def drift_prefix(party: str) -> str:
    """Below it, a party's drift notices, one folder a recipe."""
    return f"parties/{party}/drift/"


def drift_notice_key(party: str, recipe: str, sha256: str) -> str:
    """Create-only, signed: a party's drift notice, by the hash of what it signed."""
    return f"{drift_prefix(party)}{recipe}/{sha256}.json"


def seen_notices_prefix(party: str = "") -> str:
    """What the coordinator has noted of a party's drift notices; of everybody's without a party."""
    return f"{COORDINATOR}/drift/notices/{party}/" if party else f"{COORDINATOR}/drift/notices/"


def seen_notice_key(party: str, sha256: str) -> str:
    """Create-only: what became of a notice, by the hash of the notice's key."""
    return f"{seen_notices_prefix(party)}{sha256}.json"


def told_prefix(recipe: str) -> str:
    """One object a party of the recipe."""
    return f"{COORDINATOR}/drift/told/{recipe}/"


def told_key(recipe: str, party: str) -> str:
    """By swap: the party's notice that was told last."""
    return f"{told_prefix(recipe)}{party}.json"


def all_retrainings_prefix() -> str:
    """Below it, one folder a recipe."""
    return f"{COORDINATOR}/drift/retrainings/"


def retrainings_prefix(recipe: str) -> str:
    """Retrainings of the recipe that were begun, by number."""
    return f"{all_retrainings_prefix()}{recipe}/"


def retraining_key(recipe: str, number: int) -> str:
    """Create-only: takes the number for one retraining, and names its run."""
    return f"{retrainings_prefix(recipe)}{number:04d}.json"


def own_withdrawals_prefix(party: str) -> str:
    """Below it, a party's notices of withdrawal, one folder a recipe."""
    return f"parties/{party}/withdrawals/"


def withdrawal_key(party: str, recipe: str, number: int) -> str:
    """Create-only, signed: a party's notice that rows were withdrawn, or that it leaves."""
    return f"{own_withdrawals_prefix(party)}{recipe}/{number:04d}.json"


def withdrawal_reminders_prefix(party: str, recipe: str) -> str:
    """Below it, one empty-handed reminder for each withdrawal on the party's own list of a recipe."""
    return f"{own_withdrawals_prefix(party)}{recipe}/list/"


def withdrawal_reminder_key(party: str, recipe: str, name: str) -> str:
    """Create-only: that the party's list has a withdrawal, by its name under the party's key."""
    return f"{withdrawal_reminders_prefix(party, recipe)}{name}"


def all_known_withdrawals_prefix() -> str:
    """Below it a folder for each recipe of which something was withdrawn."""
    return f"{COORDINATOR}/withdrawals/"


def known_withdrawals_prefix(recipe: str) -> str:
    """Notices of a recipe that the coordinator found valid, one folder a party."""
    return f"{all_known_withdrawals_prefix()}{recipe}/"


def known_withdrawal_key(party: str, recipe: str, number: int) -> str:
    """Create-only: a notice that was found valid, byte for byte; its party cannot take it back."""
    return f"{known_withdrawals_prefix(recipe)}{party}/{number:04d}.json"
