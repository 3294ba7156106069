# The migrations and what they need, without tests and without the embedded server: see docs/containers.md.
# Any base with python3 (3.11 or newer, with venv) and bash will do.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /app
COPY lock/core.txt lock/build.txt lock/
# ready-made packages only, so that nothing is compiled
RUN python3 -m venv venv \
    && venv/bin/python -m pip install --require-hashes --only-binary :all: --no-cache-dir -r lock/core.txt -r lock/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src/ src/
# tools that install packages are not needed afterwards
RUN venv/bin/python -m pip install --no-deps --no-build-isolation --no-cache-dir . \
    && venv/bin/python -m pip uninstall --yes flit_core pip setuptools \
    && rm -r src pyproject.toml README.md LICENSE lock
COPY alembic.ini ./
COPY backend/ backend/
COPY scripts/docker-entrypoint.sh scripts/
# a checkout's umask does not matter
RUN venv/bin/python -m compileall -q backend \
    && chmod -R u=rwX,go=rX .

FROM ${BASE_IMAGE}
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app
WORKDIR /app
COPY --from=build /app /app
ENV PATH=/app/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# by number: Kubernetes cannot see from a name that it is not root (runAsNonRoot)
USER 10001:10001
# the database answers, and is at this code's head
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m \
    CMD ["env", "MIGRATION_WAIT=0", "python", "-m", "dbkit", "wait", "--at-head"]
ENTRYPOINT ["/app/scripts/docker-entrypoint.sh"]
# your program's command goes here; until then the container prints the status, and exits
CMD ["python", "-m", "dbkit", "status"]
