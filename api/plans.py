"""What the policies would remove now, for whoever asks; counted once for all who ask meanwhile."""

import asyncio
import threading
from contextlib import suppress

from api.problems import RETRY_AFTER_SECONDS, Problem
from ops_pipeline import policy
from ops_pipeline.maintenance.plan import Planned, Unplanned, plan_all
from ops_pipeline.policy_file import PolicyError
from ops_pipeline.settings import Settings, environment

LIMIT_SECONDS = 5.0
"""How long the rows of one policy are counted before an estimate has to do."""

Plan = list[Planned | Unplanned]


class Plans:
    """Makes one plan at a time, in a thread that ends with the process: a drain does not wait for a count."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._under_way: asyncio.Future[Plan] | None = None

    async def now(self) -> Plan:
        """The plan that is being made, or a new one. Raises Problem when there are no policies to plan."""
        if self._under_way is None or self._under_way.done():
            self._under_way = self._begin()
        try:
            return await asyncio.shield(self._under_way)
        except PolicyError as error:
            detail = f"The policies cannot be read, and their operator has to mend them: {error}"
            raise Problem(503, detail, headers={"Retry-After": RETRY_AFTER_SECONDS}) from error

    def _begin(self) -> asyncio.Future[Plan]:
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Plan] = loop.create_future()

        def tell(plan: Plan | None, error: Exception | None) -> None:
            if made.cancelled():
                return
            if error is not None:
                made.set_exception(error)
            else:
                made.set_result(plan or [])

        def work() -> None:
            plan, failure = None, None
            try:
                plan = self._make()
            except Exception as error:  # whoever asked is told
                failure = error
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(tell, plan, failure)

        threading.Thread(target=work, name="plan", daemon=True).start()
        return made

    def _make(self) -> Plan:
        policies = policy.load(self._settings.policies)
        return list(plan_all(policies, environment(self._settings), limit_seconds=LIMIT_SECONDS))
