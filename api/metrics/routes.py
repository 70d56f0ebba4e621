"""GET /metrics: the endpoint that Prometheus scrapes."""

from litestar import Response, get
from prometheus_client.exposition import choose_encoder

from api import openapi
from api.problems import AnyRequest
from api.services import Injected


@get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics in Prometheus text format or OpenMetrics",
    tags=["metrics"],
    operation_class=openapi.also_as("application/openmetrics-text"),
    responses={
        200: openapi.success(str, "Every metric", media_type="text/plain"),
        **openapi.refused(400, 500),
    },
)
async def metrics(request: AnyRequest, services: Injected) -> Response[bytes]:
    """All metrics, in the format that the client accepts."""
    await services.metrics.refresh(services.login_pool)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(services.metrics.registry), headers={"Content-Type": content_type})
