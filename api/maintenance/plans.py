"""Plans what the policies would delete now; concurrent requests share one plan."""

import asyncio

from api.problems import unavailable
from api.process.thread import in_thread
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.plan import Plan, Unplanned
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.settings import Settings, environment

LIMIT_SECONDS = 5.0
"""How long the rows of one policy are counted before an estimate is used."""

AllPlans = list[Plan | Unplanned]


class Plans:
    """Makes one plan at a time, in a daemon thread, so that a drain does not wait for a count."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._under_way: asyncio.Future[AllPlans] | None = None

    async def now(self) -> AllPlans:
        """The plan in progress, or a new one. Raises Problem when the policies cannot be loaded."""
        if self._under_way is None or self._under_way.done():
            self._under_way = in_thread(self._make, "plan")
        try:
            return await asyncio.shield(self._under_way)
        except PolicyError as error:
            detail = f"The policies are invalid; an operator must fix them: {error}"
            raise unavailable(detail) from error

    def _make(self) -> AllPlans:
        policies = kinds.load(self._settings.policies)
        return list(kinds.plan_all(policies, environment(self._settings), limit_seconds=LIMIT_SECONDS))
