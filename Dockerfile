# One wheel, two images: the gateway has no torch, the worker no web framework.
FROM python:3.11-slim AS wheel
WORKDIR /source
RUN pip install --no-cache-dir "build>=1.2"
COPY pyproject.toml README.md LICENSE ./
COPY contract contract
COPY service service
COPY worker worker
RUN python -m build --wheel --outdir /wheels

FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 UNROLL_DATA_DIR=/data
RUN useradd --create-home --uid 10001 unroll && mkdir /data && chown unroll /data
COPY --from=wheel /wheels /wheels
WORKDIR /home/unroll

FROM base AS gateway
RUN pip install --no-cache-dir "$(ls /wheels/*.whl)[gateway,command]"
USER unroll
EXPOSE 8000
CMD ["unroll", "gateway"]

FROM base AS worker
# First and pinned, as in the Makefile: no later package brings a second one.
RUN pip install --no-cache-dir "torch==2.13.0" \
    && pip install --no-cache-dir "$(ls /wheels/*.whl)[worker,command]"
# A worker on a processor of another kind compiles its own kernels, in the same place.
ENV NUMBA_CACHE_DIR=/kernels
RUN mkdir /kernels && chown unroll /kernels
USER unroll
RUN python -m worker.warm_up
CMD ["unroll", "worker"]
