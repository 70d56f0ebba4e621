# One image for all processes: the API (the default command), migrations, Dagster's code server, webserver, daemon.

# hatchling, which builds the wheel, is locked among the development requirements.
FROM python:3.12-slim AS wheel
WORKDIR /src
COPY requirements-dev.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements-dev.lock
COPY pyproject.toml README.md LICENSE ./
COPY ops_pipeline ops_pipeline
COPY api api
COPY sql sql
COPY docs docs
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    DAGSTER_HOME=/opt/dagster/home \
    OPS_API_HOST=0.0.0.0 \
    OPS_POLICIES=/opt/ops/policies.yaml

# Fixed ids, so that the owner of a volume is the same for every version of the image.
RUN groupadd --gid 10001 ops \
 && useradd --uid 10001 --gid ops --no-create-home --home-dir /opt/ops --shell /usr/sbin/nologin ops \
 && install -d -o ops -g ops /opt/ops /opt/ops/archive /opt/dagster/home /opt/dagster/home/storage
WORKDIR /opt/ops

COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-deps --no-index /wheels/*.whl && rm -r /wheels

COPY ops_pipeline/orchestration/dagster.yaml /opt/dagster/home/dagster.yaml
COPY deploy/workspace.yaml deploy/healthcheck.py deploy/code_healthcheck.py policies.yaml ./

USER ops
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=5s --retries=3 \
  CMD ["python", "/opt/ops/healthcheck.py"]
CMD ["python", "-m", "api"]
