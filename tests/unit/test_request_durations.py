"""A duration is shown in seconds and in milliseconds, with the same counts."""

import re

import pytest
from prometheus_client.exposition import generate_latest

from api.metrics.registry import Metrics


@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.0051, 0.3, 2, 7])
def test_milliseconds_say_what_seconds_say(seconds: float) -> None:
    metrics = Metrics()
    metrics.record_request("GET", "/", 200, seconds, None)
    metrics.record_request("GET", "/", 200, 0.04, None)
    text = generate_latest(metrics.registry).decode()

    bounds = {
        unit: [
            (round(float(bound) * factor, 6), count)
            for bound, count in re.findall(rf'request_duration_{unit}_bucket{{le="(.+?)".*}} (.+)', text)
        ]
        for unit, factor in (("seconds", 1000), ("ms", 1))
    }
    assert len(bounds["ms"]) == 11
    assert bounds["ms"] == bounds["seconds"]
    labels = '{method="GET",route="/",status_code="200"}'
    assert f"http_request_duration_ms_count{labels} 2.0" in text
    assert f"http_request_duration_ms_sum{labels} {(seconds + 0.04) * 1000}" in text
