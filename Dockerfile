# syntax=docker/dockerfile:1

# The build stage: everything that only installing needs stays here.
FROM python:3.11.14-slim-trixie AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

RUN python -m venv /opt/posstream
ENV PATH="/opt/posstream/bin:$PATH"

WORKDIR /src
# What the lock names, hash by hash (`make lock`), and nothing else. It changes less often than posstream.
COPY requirements.lock .
RUN pip install --require-hashes --requirement requirements.lock
COPY . .
RUN pip install --no-deps --no-build-isolation .


# The image that runs: the interpreter and the environment, no sources, no root.
FROM python:3.11.14-slim-trixie

# The commit, by `docker build --build-arg REVISION=$(git rev-parse HEAD)`.
ARG REVISION=unknown
LABEL org.opencontainers.image.title="posstream" \
      org.opencontainers.image.description="A stream processor behind a retailer's tills" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11.14-slim-trixie"

ENV PATH="/opt/posstream/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    POSSTREAM_DATADIR=/data

# A named volume takes its owner from the directory it is first mounted over.
RUN groupadd --system --gid 10001 posstream \
    && useradd --system --uid 10001 --gid posstream --no-create-home --shell /usr/sbin/nologin posstream \
    && install --directory --owner=posstream --group=posstream --mode=0700 /data

COPY --from=build /opt/posstream /opt/posstream

# By number, so that a host or an orchestrator need not resolve the name.
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8000

CMD ["faust", "-A", "posstream.app", "worker", "-l", "info"]
