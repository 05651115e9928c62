"""A process worker that starts one command only, asks seldom while it has work, and outlives its server."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from infra.deployments.declaration import COORDINATOR, RUNS_AT_ONCE, locked_template, pool_name

BUSY_POLL_S, COORDINATORS_BUSY_POLL_S = 5.0, 2.0
IDLE_POLL_S, IDLE_AFTER_S = 3.0, 300.0


class LockedConfiguration(ProcessJobConfiguration):
    """What a run is started with, whatever the server says.

    A pool's template binds no worker: its command can be edited on the server, and a run's `env` is merged
    even into a constant one. So the template of this code is taken instead, without any variable.
    """

    @classmethod
    async def from_template_and_values(
        cls,
        base_job_template: dict[str, Any],  # noqa: ARG003 (the server's)
        values: dict[str, Any],  # noqa: ARG003 (the run's)
        client: PrefectClient | None = None,
    ) -> "LockedConfiguration":
        """Fill in the locked template."""
        made: LockedConfiguration = await super().from_template_and_values(
            locked_template(), {}, client=client
        )
        return made


class LockedWorker(ProcessWorker):
    """The worker of one role's pool.

    Each look for scheduled runs costs the server 45 ms of processor time. A worker that runs a session
    of a training expects no other one soon, so it looks every `BUSY_POLL_S` seconds meanwhile. The
    coordinator's does expect one: a retraining starts a training, and waits for it. A party's that ran
    nothing for `IDLE_AFTER_S` seconds looks every `IDLE_POLL_S`: people ask the coordinator, and wait for it.
    Prefect's schedules fire on time all the same: a look finds the runs of the next ten seconds, too.

    Prefect's own worker gives up a minute after its server stopped answering, and takes the runs that it
    started with it. This one waits for the server to come back: runs need none.
    """

    job_configuration = LockedConfiguration

    def __init__(self, role: str) -> None:
        super().__init__(pool_name(role), name=role, limit=RUNS_AT_ONCE, base_job_template=locked_template())
        is_asked = role == COORDINATOR
        self._busy_poll = COORDINATORS_BUSY_POLL_S if is_asked else BUSY_POLL_S
        self._idle_poll = 0.0 if is_asked else IDLE_POLL_S
        self._looked, self._worked = 0.0, time.monotonic()
        """When it looked for runs, and when it last had one or waited for the server."""
        self._away = False
        """Whether the server did not answer when it was last asked."""

    @classmethod
    def __dispatch_key__(cls) -> str:
        """A name beside that of Prefect's own process worker, which stays as it is."""
        return "fedcart-process"

    @classmethod
    def get_default_base_job_template(cls) -> dict[str, Any]:
        """What this worker writes into a pool whose template was emptied: the lock."""
        return locked_template()

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Look for scheduled runs and start them."""
        now = time.monotonic()
        if now - self._looked < self._rest(now):
            return []
        self._looked = now
        with self._server_may_be_away():
            return await super().get_and_submit_flow_runs()
        return []

    def _rest(self, now: float) -> float:
        """Seconds that it lets pass between two looks, at least."""
        if self._away or self.limiter.borrowed_tokens:
            self._worked = now
            return self._busy_poll
        return self._idle_poll if now - self._worked > IDLE_AFTER_S else 0.0

    async def _submit_scheduled_flow_runs(
        self, flow_run_response: list[WorkerFlowRunResponse]
    ) -> list[FlowRun]:
        """Start runs that are due, but for one whose process is still here: it is found again.

        A run that was suspended may be resumed before its first process has ended. Prefect's own worker
        ends itself then, and every run with it.
        """
        here = frozenset(self.limiter.statistics().borrowers)
        due = [entry for entry in flow_run_response if entry.flow_run.id not in here]
        started: list[FlowRun] = await super()._submit_scheduled_flow_runs(due)
        return started

    async def sync_with_backend(self) -> None:
        """Tell the server that this worker lives; makes its pool anew, locked, when that is gone."""
        with self._server_may_be_away():
            await super().sync_with_backend()

    @contextmanager
    def _server_may_be_away(self) -> Iterator[None]:
        """Let pass that the server does not answer, or answers that it is broken; tell it once."""
        try:
            yield
            self._away = False
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            if isinstance(error, httpx.HTTPStatusError) and not error.response.is_server_error:
                raise
            if not self._away:
                self._logger.warning("The Prefect server does not answer; waiting for it to come back.")
            self._away = True
