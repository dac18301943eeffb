# Builds the image in a Debian with Node.js, by the same program that builds it without any container tool (make image-offline).
# The last stage is also what that one reads the image's configuration from.
ARG BUILDER=docker.io/library/node:24-bookworm-slim

FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
ARG TARGETARCH
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY LICENSE ./
COPY apis apis
COPY operator operator
COPY release release
RUN node_modules/.bin/node release/image/main.ts --layers /image --architecture "$TARGETARCH"

FROM scratch
COPY --from=build /image/base /
COPY --from=build /image/manager /
ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="cluster-api-provider-remote"
LABEL org.opencontainers.image.description="Cluster API infrastructure provider for machines that already exist and are reached over SSH"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.version="$VERSION"
LABEL org.opencontainers.image.revision="$REVISION"
LABEL org.opencontainers.image.created="$CREATED"
ENV NODE_ENV="production"
WORKDIR "/manager"
USER "65532:65532"
EXPOSE 8443 9440
# DEP0040: a dependency of Kubernetes' client still loads punycode, which nobody can do anything about who reads the log.
ENTRYPOINT ["/usr/local/bin/node", "--max-semi-space-size=2", "--disable-warning=DEP0040", "/manager/manager.js"]
