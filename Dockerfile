# One image for every node: `atoll node --config ...` is all a container runs.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
# fastecdsa, a dependency of libp2p, is compiled here and only here.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libgmp-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python -m venv /opt/atoll
COPY locks/runtime.txt locks/runtime.txt
RUN /opt/atoll/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r locks/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY consensus consensus
COPY p2p p2p
COPY rpc rpc
COPY node node
RUN /opt/atoll/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && /opt/atoll/bin/pip uninstall --yes --disable-pip-version-check pip \
    && rm -rf /opt/atoll/lib/python3*/site-packages/examples /opt/atoll/lib/python3*/site-packages/interop \
    && find /opt/atoll -name tests -type d -prune -exec rm -rf {} +

FROM ${PYTHON}
# A new volume takes the owner of the directory that it is mounted on, so each of them has to be here.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgmp10 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin atoll \
    && install -d -o atoll -g atoll /network /data /shares/prometheus \
    && for shard in 0 1 2 3; do for index in 0 1 2 3; do \
           install -d -o atoll -g atoll "/shares/s${shard}v${index}"; done; done
COPY --from=build /opt/atoll /opt/atoll
COPY docker/network.toml /etc/atoll/network.toml
COPY docker/health.sh docker/genesis.sh /opt/atoll/
ENV PATH=/opt/atoll/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER atoll
WORKDIR /network
EXPOSE 8545 30300
STOPSIGNAL SIGTERM
ENTRYPOINT ["atoll"]
CMD ["--help"]
