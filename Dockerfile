# syntax=docker/dockerfile:1
# One image for every service of MLForge; which one a container is, its command says: `service exec <name>`.
# Versions come from uv.lock alone. No secret is needed to build it, and none is in it.

FROM python:3.11-slim-bookworm AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1
RUN pip install --no-cache-dir "uv==0.13.8"
WORKDIR /opt/mlforge
# The libraries change seldom and are large: a layer of their own.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --compile-bytecode --no-install-project
COPY README.md LICENSE airflow.cfg ./
COPY include/ include/
COPY plugins/ plugins/
COPY dags/ dags/
COPY feature_repo/ feature_repo/
COPY bentos/ bentos/
RUN uv sync --frozen --no-dev --compile-bytecode \
    && /opt/venv/bin/python -m compileall -q include plugins dags feature_repo \
    && chmod -R a+rX,go-w /opt/mlforge

FROM python:3.11-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="MLForge" \
      org.opencontainers.image.description="Models through their whole life on Apache Airflow 3" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    MLFORGE_ROOT=/opt/mlforge \
    MLFORGE_HOME=/var/lib/mlforge
# LightGBM's wheel leaves OpenMP to the system.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
# A new named volume takes owner and mode from the directory it is mounted on, so all of them are made here.
RUN groupadd --gid 10001 mlforge \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/mlforge --shell /usr/sbin/nologin mlforge \
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/mlforge \
        /var/lib/mlforge/airflow /var/lib/mlforge/bentoml /var/lib/mlforge/cache /var/lib/mlforge/gateway \
        /var/lib/mlforge/logs /var/lib/mlforge/run /var/lib/mlforge/secrets /var/lib/mlforge/storage
# The code belongs to root: the services cannot change it.
COPY --from=build --chown=root:root /opt/venv /opt/venv
COPY --from=build --chown=root:root /opt/mlforge /opt/mlforge
WORKDIR /opt/mlforge
USER 10001:10001
# No HEALTHCHECK here: what is healthy depends on the service. docker-compose.yaml says it for each.
ENTRYPOINT ["mlforge"]
CMD ["--help"]
