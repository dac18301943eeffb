#!/bin/sh
# Builds the image with the first container tool that works here: build.sh NAME:TAG [PLATFORM...], such as linux/arm64.
# Where nothing can be pulled, BUILDER names a local image with Debian and Node.js, or `make image-offline` does without any.
set -eu
cd "$(dirname "$0")/../.."
image=$1
shift
platforms=$(echo "$*" | tr ' ' ,)
# A later build of the same commit gives the same labels.
revision=$(git log -1 --format=%H)
created=$(TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%S.000Z --format=%cd)
set -- --file Dockerfile --build-arg "VERSION=${VERSION:?}" --build-arg "REVISION=$revision" --build-arg "CREATED=$created" \
  ${BUILDER:+--build-arg "BUILDER=$BUILDER"} ${platforms:+--platform "$platforms"}
# An image of several platforms is a list of images.
case $platforms in
  *,*) name=--manifest ;;
  *) name=--tag ;;
esac
if docker info >/dev/null 2>&1; then
  exec docker buildx build --load --tag "$image" "$@" .
elif podman info >/dev/null 2>&1; then
  exec podman build --format oci "$name" "$image" "$@" .
elif buildah info >/dev/null 2>&1; then
  exec buildah build --format oci "$name" "$image" "$@" .
fi
echo "No container tool works here: docker (with its daemon), podman or buildah. 'make image-offline' needs none." >&2
exit 1
