#!/bin/sh
# Prints the base image of both Dockerfiles by the digest that its registry has for it today; build with
#   docker build --build-arg PYTHON_IMAGE="$(sh infra/docker/pin.sh)" -f infra/docker/Dockerfile.cuda ...
# and keep the line beside your images: the same digest gives the same system for years.
# Tried: with programs that answer as docker, podman and skopeo do. Not tried: a registry.
set -eu
image=$(sed -n 's/^ARG PYTHON_IMAGE=//p' "$(dirname "$0")/Dockerfile.cpu")
digest=
if command -v skopeo >/dev/null; then
    digest=$(skopeo inspect --format '{{.Digest}}' "docker://docker.io/library/$image")
elif command -v docker >/dev/null; then
    digest=$(docker buildx imagetools inspect "$image" --format '{{.Manifest.Digest}}')
elif command -v podman >/dev/null; then
    podman pull -q "docker.io/library/$image" >/dev/null
    digest=$(podman image inspect "docker.io/library/$image" --format '{{.Digest}}')
else
    echo "pin.sh: none of skopeo, docker and podman is here; install one" >&2
    exit 2
fi
case $digest in
sha256:????????????????????????????????????????????????????????????????) echo "$image@$digest" ;;
*)
    echo "pin.sh: $image: the registry's answer is no digest: '$digest'" >&2
    exit 1
    ;;
esac
