# storm-exp in a container, for `docker` and `podman` alike:
#     docker build -t storm-exp .
#     docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" storm-exp recipe=storm
# For a GPU, give the index of CUDA builds that pytorch.org names, and run with the GPU passed in:
#     docker build -t storm-exp --build-arg TORCH_INDEX=URL --build-arg EXTRAS=all,gpu .
FROM docker.io/library/python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=all

COPY . /opt/storm-exp
RUN cd /opt/storm-exp \
    && pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" -c constraints.txt torch ".[$EXTRAS]"

# Home is the mounted folder: whoever runs this can write outputs and the hub's cache there.
RUN useradd --home-dir /work --create-home storm && chmod 1777 /work
ENV HOME=/work
USER storm
WORKDIR /work
ENTRYPOINT ["storm-exp"]
CMD ["--help"]
