# The image of the BFF. Build: docker build -t bff .   Run: docs/containers.md
#
# The base is Debian's Python, which the tests run with. Renew its digest with each release.
ARG DEBIAN=docker.io/library/debian:bookworm-slim@sha256:7c7b2c966bc9ee8cedfeef67e0e279108992c77681fa595db4a9d65c06ccc587

FROM ${DEBIAN} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3-venv
# For a mirror of one's own: --build-arg PIP_INDEX_URL=… (PIP_CERT is a file that a volume brings).
ARG PIP_INDEX_URL
ARG PIP_CERT
COPY requirements.txt requirements-otel.txt /bff/
RUN python3 -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: \
        -r /bff/requirements.txt -r /bff/requirements-otel.txt \
    && /venv/bin/pip uninstall -y pip setuptools
COPY templates /bff/templates
COPY bff /bff/bff
RUN printf '#!/bin/sh\nexec /venv/bin/python -m bff "$@"\n' > /venv/bin/bff \
    && chmod 755 /venv/bin/bff \
    && /venv/bin/python -m compileall -q /bff/bff /venv/lib \
    && chmod -R u=rwX,go=rX /bff /venv

FROM ${DEBIAN}
RUN apt-get update \
    && apt-get upgrade -y \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log
COPY --from=build /venv /venv
COPY --from=build /bff /bff
ENV PATH=/venv/bin:$PATH PYTHONPATH=/bff PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.title="bff" \
      org.opencontainers.image.description="A backend-for-frontend for single-page apps: a logout is final" \
      org.opencontainers.image.licenses="MIT"
# `nobody`; nothing in the image is its own, and nothing is written.
USER 65534:65534
WORKDIR /bff
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["bff"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--drain-seconds", "10"]
