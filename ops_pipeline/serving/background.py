"""Background tasks that run for the lifetime of the process."""

import asyncio
from collections.abc import Coroutine
from typing import Any


def start(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Starts a task; the caller keeps it and cancels it at the end.

    When the task fails, the loop's exception handler is called at once. asyncio itself only reports a failure
    when the task is garbage-collected, so the failure of a task that is kept would never be reported.
    """
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        context = {"message": f"task {task.get_name()}", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
