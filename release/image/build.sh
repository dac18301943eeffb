#!/bin/sh
# Builds the image with the first container tool that works here: build.sh NAME:TAG [PLATFORM...], such as linux/arm64.
# Where nothing can be pulled, BUILDER names a local image with Debian and Node.js, or `make image-offline` does without any.
set -eu
cd "$(dirname "$0")/../.."
image=$1
shift
platforms=$(echo "$*" | tr ' ' ,)
# A later build of the same commit gives the same labels.
commit() { git -c safe.directory="$PWD" log -1 "$@"; }
revision=$(commit --format=%H)
created=$(TZ=UTC0 commit --date=format-local:%Y-%m-%dT%H:%M:%S.000Z --format=%cd)
set -- --file Dockerfile --build-arg "VERSION=${VERSION:?}" --build-arg "REVISION=$revision" --build-arg "CREATED=$created" \
  ${BUILDER:+--build-arg "BUILDER=$BUILDER"} ${platforms:+--platform "$platforms"}
if docker info >/dev/null 2>&1; then
  # A list of several is loaded only into its store of containerd.
  exec docker buildx build --load --tag "$image" "$@" .
elif podman info >/dev/null 2>&1; then
  tool=podman architecture=$(podman info --format '{{.Host.Arch}}')
elif buildah info >/dev/null 2>&1; then
  tool=buildah architecture=$(buildah info --format '{{.host.arch}}')
else
  echo "No container tool works here: docker (with its daemon), podman or buildah. 'make image-offline' needs none." >&2
  exit 1
fi
# An image of several platforms is a list of images. One that has the name would get more of them, and an image would be in its way.
case $platforms in
  *,*)
    name=--manifest
    "$tool" manifest rm "$image" >/dev/null 2>&1 || "$tool" rmi "$image" >/dev/null 2>&1 || :
    ;;
  *) name=--tag ;;
esac
# Debian's do not know by themselves where they build, and would take the base image of the architecture that they build for.
exec "$tool" build --format oci "$name" "$image" --build-arg "BUILDPLATFORM=linux/$architecture" "$@" .
