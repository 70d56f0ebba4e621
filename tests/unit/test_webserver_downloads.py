"""What Dagster makes in its event loop delays no one, and what does not exist is not found."""

import asyncio
import threading

import dagster as dg
import pytest
from starlette.types import Message, Receive, Scope, Send

from ops_pipeline.orchestration.webserver.downloads import Downloads
from ops_pipeline.orchestration.webserver.refusal import Refusal

RUN = dg.DagsterRun("nightly_app")


async def _nothing(*_: object) -> None:
    raise AssertionError("nothing is made, and nothing sent")


@pytest.mark.parametrize("path", ["/logs/../x", "/logs/a/../../x", "/logs/x", "/logs/", "/download_debug/7"])
def test_what_dagster_would_answer_with_a_traceback_is_not_found(path: str) -> None:
    downloads = Downloads(_nothing, find_run=lambda _: None)

    with pytest.raises(Refusal) as refused:
        asyncio.run(downloads.serve({"type": "http", "path": path}, _nothing))
    assert refused.value.status == 404


def test_a_log_is_dagsters_to_serve() -> None:
    downloads = Downloads(_nothing, find_run=lambda _: None)

    assert not asyncio.run(downloads.serve({"type": "http", "path": "/logs/7/compute_logs/a.out"}, _nothing))


def test_a_download_is_made_beside_the_event_loop_and_no_two_at_a_time() -> None:
    making, most_making, enough = [], [], threading.Event()

    async def make(scope: Scope, receive: Receive, send: Send) -> None:
        making.append(threading.get_ident())
        most_making.append(len(making))
        assert enough.wait(30)  # as Dagster does: whoever shares its event loop waits
        making.pop()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": False})

    async def ask() -> list[bool]:
        downloads = Downloads(make, find_run=lambda _: RUN)

        async def send(message: Message) -> None:
            assert making == [], "what is sent was made before"

        scopes = [{"type": "http", "path": path} for path in ("/download_debug/7", "/notebook")]
        asked = [asyncio.ensure_future(downloads.serve(scope, send)) for scope in scopes]
        while not making:
            await asyncio.sleep(0)
        enough.set()
        return [await one for one in asked]

    assert asyncio.run(ask()) == [True, True]
    assert most_making == [1, 1]
