FROM python:3.11-slim-bookworm

WORKDIR /src
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY geo geo
COPY tracker tracker
COPY storage storage
COPY api api
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

WORKDIR /var/lib/tracker
RUN useradd --system --no-create-home tracker && install --directory --owner tracker data /var/cache/tracker
USER tracker
# Compiled once for any processor of this architecture, into a cache that the server may write
ENV NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES="" NUMBA_CACHE_DIR=/var/cache/tracker
RUN python -m api.warm
VOLUME /var/lib/tracker/data
ENV TRACKER_HOST=0.0.0.0 TRACKER_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["tracker", "serve"]
