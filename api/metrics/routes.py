"""GET /metrics: what Prometheus scrapes."""

from litestar import Response, get
from prometheus_client.exposition import choose_encoder

from api import openapi
from api.problems import AnyRequest
from api.services import Injected


@get(
    "/metrics",
    operation_id="metrics",
    summary="Prometheus text or OpenMetrics",
    tags=["metrics"],
    operation_class=openapi.also_as("application/openmetrics-text"),
    responses={200: openapi.success(str, "Every metric", media_type="text/plain"), **openapi.refused(500)},
)
async def metrics(request: AnyRequest, services: Injected) -> Response[bytes]:
    """What Prometheus scrapes."""
    await services.metrics.refresh(services.login_pool)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(services.metrics.registry), headers={"Content-Type": content_type})
