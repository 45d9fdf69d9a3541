# The example gateway, its model server and its clients, for compose.yaml; build it from the root of the checkout.
FROM python:3.13-slim
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY tracer tracer
COPY analyzer analyzer
RUN pip install --no-cache-dir --upgrade "pip>=25.1" && pip install --no-cache-dir ".[prometheus]" --group gateway
COPY examples examples
RUN useradd --create-home gateway && mkdir /journal && chown gateway /journal
USER gateway
