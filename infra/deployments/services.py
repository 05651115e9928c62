"""What runs without anybody starting it: the scheduled deployments of a recipe, and what those start.

`fedcart deploy` applies them beside what `declare` says; `prefect.yaml` says the same for the recipe reviews.
"""

from typing import Any

from fedmodels.errors import InputError
from infra.deployments.declaration import (
    COORDINATOR,
    RUNS_AT_ONCE,
    TRAINING_ENTRYPOINT,
    TRAINING_FLOW,
    WAITS,
    Declaration,
    Deployment,
    pool_name,
)
from infra.settings import Schedules

OFF = "off"
CRON_FIELDS = 5
"""Minute, hour, day, month, weekday."""
RELEASE_FLOW = "model-release"
RELEASE_CHECK_FLOW = "release-check"
HOUSEKEEPING_FLOW = "housekeeping"
DRIFT_FLOW = "drift-monitoring"
DRIFT_WATCH_FLOW = "drift-watch"
RETRAINING_FLOW = "retraining"
SWEEP_AGE = "7d"
RETRAININGS_AT_ONCE = (RUNS_AT_ONCE - 2) // 2
"""Each waits in the coordinator's pool for a training in the same pool: with a slot for each of those, and
two for what is over in seconds, none waits for ever."""


def services(
    recipe: str, given: str | dict[str, Any], parties: tuple[str, ...], schedules: Schedules
) -> tuple[Deployment, ...]:
    """The deployments of a recipe that run by a schedule, or are started by those.

    Args:
        recipe: its name.
        given: what a training is given: the same, or the recipe's content without any path.
        parties: ids of its parties.
        schedules: when; `off` leaves a deployment without one.
    """
    coordinator = ("fedcart", COORDINATOR)
    (release,), (retraining,) = declare_release().deployments, declare_retraining().deployments
    return (
        Deployment(
            TRAINING_FLOW,
            f"nightly-{recipe}",
            TRAINING_ENTRYPOINT,
            pool_name(COORDINATOR),
            f"Starts a training of {recipe} every night; a night in which a run of it is open is left out.",
            (*coordinator, f"recipe:{recipe}"),
            parameters={"recipe": given},
            schedule=_cron(schedules.training, TRAINING_FLOW),
            at_once=1,
        ),
        Deployment(
            RELEASE_CHECK_FLOW,
            recipe,
            "flows.release_check.release_check",
            pool_name(COORDINATOR),
            f"Looks for the latest finished run of {recipe}, and has its model checked against the champion.",
            (*coordinator, f"recipe:{recipe}"),
            parameters={"recipe": recipe},
            schedule=_cron(schedules.release, RELEASE_CHECK_FLOW),
            at_once=1,
        ),
        release,
        Deployment(
            DRIFT_WATCH_FLOW,
            COORDINATOR,
            "flows.drift_watch.drift_watch",
            pool_name(COORDINATOR),
            "Verifies the parties' notices of drift, and tells of them as events until a retraining has "
            "answered them.",
            coordinator,
            schedule=_cron(schedules.drift_watch, DRIFT_WATCH_FLOW),
            at_once=1,
        ),
        retraining,
        *(
            Deployment(
                DRIFT_FLOW,
                drift_check_name(party, recipe),
                "flows.drift_monitoring.drift_monitoring",
                pool_name(party),
                f"Holds fresh rows of {party} against those that the champion of {recipe} was trained on.",
                ("fedcart", f"party:{party}", f"recipe:{recipe}"),
                parameters={"recipe": recipe},
                schedule=_cron(schedules.drift, DRIFT_FLOW),
                at_once=1,
            )
            for party in sorted(parties)
        ),
        *(
            Deployment(
                HOUSEKEEPING_FLOW,
                role,
                "flows.housekeeping.housekeeping",
                pool_name(role),
                f"Sweeps what nothing needs any more below the prefix of {role}"
                + (", and rejects releases that nobody approved in time." if role == COORDINATOR else "."),
                ("fedcart", COORDINATOR if role == COORDINATOR else f"party:{role}"),
                parameters={"older_than": SWEEP_AGE},
                schedule=_cron(schedules.housekeeping, HOUSEKEEPING_FLOW),
                at_once=1,
            )
            for role in (COORDINATOR, *sorted(parties))
        ),
    )


def drift_check_name(party: str, recipe: str) -> str:
    """Name of a party's drift check of one recipe, so that a second recipe's leaves the first one's alone.

    No id holds a full stop, so no two pairs have one name; with a hyphen `a-b` and `c` would have that of
    `a` and `b-c`.
    """
    return f"{party}.{recipe}"


def declare_release() -> Declaration:
    """What a release needs by itself; the coordinator's pool, in which it runs, is made by `up`."""
    release = Deployment(
        RELEASE_FLOW,
        COORDINATOR,
        "flows.model_release.model_release",
        pool_name(COORDINATOR),
        "Checks the kept model of a run against the champion, asks a person if the recipe says so, and "
        f"promotes it. {WAITS}",
        ("fedcart", COORDINATOR),
    )
    return Declaration((), (release,), ())


def declare_retraining() -> Declaration:
    """What a retraining needs by itself, beside what a training does."""
    retraining = Deployment(
        RETRAINING_FLOW,
        COORDINATOR,
        "flows.retraining.retraining",
        pool_name(COORDINATOR),
        "Started by the automation for drift, and for withdrawn rows: sees whether a training may begin, "
        "trains, and has the model released. It waits for a training in its own pool, so few run at once, "
        "and further ones wait.",
        ("fedcart", COORDINATOR),
        at_once=RETRAININGS_AT_ONCE,
        above="ENQUEUE",
    )
    return Declaration((), (retraining,), ())


def _cron(schedule: str, flow: str) -> str | None:
    """The schedule that somebody set, or `None` where it is off.

    Raises:
        InputError: it has not the five fields of cron. Prefect takes a sixth one, and then starts a flow run
            every second.
    """
    if schedule == OFF:
        return None
    if len(schedule.split()) > CRON_FIELDS or schedule.startswith("@"):
        raise schedule_invalid(schedule, flow, f"has not {CRON_FIELDS} fields")
    return schedule


def schedule_invalid(schedule: str, flow: str, what: str) -> InputError:
    """The error of a schedule that is none."""
    return InputError(
        f"The schedule {schedule!r} of {flow} {what}",
        fix='give five fields, like "0 2 * * *" for two o\'clock every night (UTC), or "off"',
        code="schedule-invalid",
    )
