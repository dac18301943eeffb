# Everyday commands. The Node in node_modules is the one that everything runs with; npm ci brings it.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
SHELL := /bin/bash

# npm writes it last.
STAMP := node_modules/.package-lock.json
# Bills of materials, where make image-offline has made the image.
SBOM ?= $(if $(wildcard out/image/*.sbom.cdx.json),out/image)
# Hosts (namespaces, mounts) need root; without it, and without passwordless sudo, the environment says what is missing.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || ! sudo -n true 2>/dev/null || echo 'sudo -n env "PATH=$$PATH" "HOME=$$HOME" "XDG_CACHE_HOME=$$XDG_CACHE_HOME" "CLUSTER_API_VERSION=$$CLUSTER_API_VERSION" "KUBEBUILDER_ASSETS=$$KUBEBUILDER_ASSETS"')
RUN := $(AS_ROOT) node

.DEFAULT_GOAL := help
.PHONY: help test unit e2e lint format generate image image-offline release bench chaos cloud-init ignition disks demo demo-down kind clean

help: ## Show these targets.
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 17

$(STAMP): package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

test: $(STAMP) ## Run every check and test; the last line says how many passed and failed.
	@$(RUN) e2e/run-tests.ts

unit: $(STAMP) ## Run the unit tests, as root: they start sshd, and shells in namespaces.
	@$(RUN) e2e/run-tests.ts 'unit tests'

e2e: $(STAMP) ## Run the end-to-end suites on real hosts; SUITE=name runs those whose path has that name.
	@$(RUN) node_modules/jest/bin/jest.js --selectProjects e2e $(if $(SUITE),--runInBand $(SUITE),--maxWorkers=3)

lint: $(STAMP) ## Check style, types and formatting.
	eslint .
	tsc --noEmit
	prettier --check .
	shellcheck $$(git ls-files '*.sh' .ci/run ':!e2e/corpus')

format: $(STAMP) ## Format the sources.
	prettier --write .

generate: $(STAMP) ## Write CRDs, roles and reference pages anew from the schemas and tables.
	npm run --silent generate

image: $(STAMP) ## Build the image with docker, podman or buildah, as IMAGE=name:tag; PLATFORMS="linux/amd64 linux/arm64" builds for others.
	@VERSION=$$(node -p 'require("./package.json").version') && export VERSION && release/image/build.sh $(or $(IMAGE),localhost/cluster-api-provider-remote:v$$VERSION) $(PLATFORMS)

image-offline: $(STAMP) ## Build the image for amd64 and arm64 without any of these, on Debian, into out/image.
	@node release/image/main.ts

release: $(STAMP) ## Write all files of a release into out/infrastructure-remote; IMAGE=registry.example/name and SOURCE=https://git.example/name say where the image and the repository are. The image's bills of materials come along from SBOM=out/image.
	@node release/main.ts $(if $(IMAGE),--image $(IMAGE)) $(if $(SOURCE),--source $(SOURCE)) $(if $(SBOM),--bills $(SBOM))

bench: $(STAMP) ## Measure beside plain ssh on the same hosts; writes out/bench.json. FIGURES="fleet memory" picks some.
	@node operator/bundle.ts && $(RUN) e2e/bench/main.ts $(FIGURES)

chaos: $(STAMP) ## Inject faults into everything at random while machines come and go: SEED=1 repeats a campaign, DURATION=600 HOSTS=50 size it.
	@$(RUN) e2e/chaos/main.ts $(if $(SEED),--seed $(SEED)) $(if $(DURATION),--duration $(DURATION)) $(if $(HOSTS),--hosts $(HOSTS))

cloud-init: $(STAMP) ## Hold the operator against the real cloud-init: GENERATED=500 documents made at random, SEED=1 repeats them, DOCUMENT=users picks some.
	@$(AS_ROOT) env GENERATED=$(or $(GENERATED),500) $(if $(SEED),SEED=$(SEED)) $(if $(DOCUMENT),DOCUMENT=$(DOCUMENT)) \
	  node node_modules/jest/bin/jest.js --selectProjects e2e --runInBand suites/cloud-init

ignition: $(STAMP) ## Hold the operator against the real Ignition, as cloud-init does; GENERATED, SEED and DOCUMENT as there.
	@$(AS_ROOT) env GENERATED=$(or $(GENERATED),500) $(if $(SEED),SEED=$(SEED)) $(if $(DOCUMENT),DOCUMENT=$(DOCUMENT)) \
	  node node_modules/jest/bin/jest.js --selectProjects e2e --runInBand suites/ignition

disks: $(STAMP) ## Hold the operator against both on disks, which are loop devices; DOCUMENT picks some.
	@$(AS_ROOT) env DOCUMENT=$(DOCUMENT) node node_modules/jest/bin/jest.js --selectProjects e2e --runInBand suites/disks

demo: $(STAMP) ## Show it at work: a control plane, real hosts and the operator; stays running.
	@$(RUN) e2e/demo/main.ts

demo-down: $(STAMP) ## End the demo.
	@$(RUN) e2e/demo/down.ts

kind: $(STAMP) ## For people with Docker: a kind cluster with the project's kinds.
	kind create cluster --name cluster-api-provider-remote
	kubectl --context kind-cluster-api-provider-remote apply --server-side -k manifests/crds

clean: ## Remove what was built in the checkout; what is cached elsewhere stays.
	rm -rf dist out coverage $(STAMP)
