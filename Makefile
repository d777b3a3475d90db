# `make help` says what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
GO_TEST_FLAGS ?=
IMAGE ?= gatehouse:latest
FUZZTIME ?= 10m
PKG ?= controllers proxy
NODES ?= 1
CONTAINER_TOOL ?= docker

# The tools are built from hack/tools, whose go.mod pins them, and rebuilt when it changes.
CONTROLLER_GEN := bin/controller-gen
GOLANGCI_LINT := bin/golangci-lint
CLUSTER := bin/cluster
TOOL_PINS := hack/tools/go.mod hack/tools/go.sum

# The Gateway API's CRDs come from its module, so that they are of the release the code is built with.
GATEWAY_API_CRDS = $(shell $(GO) mod download sigs.k8s.io/gateway-api && $(GO) list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/experimental/gateway.networking.*.yaml

##@ Use

.PHONY: help
help: ## Say what there is.
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Serve config/samples/quickstart with demo backends; no cluster is needed.
	bin/gatehouse standalone -f config/samples/quickstart --demo

.PHONY: build
build: ## Build bin/gatehouse.
	$(GO) build -o bin/gatehouse ./cmd/gatehouse

.PHONY: image
image: ## Build the container image, named by IMAGE.
	$(CONTAINER_TOOL) build -t $(IMAGE) .

.PHONY: clean
clean: ## Remove what make built in this folder.
	rm -rf bin dist

##@ Check

.PHONY: test
test: test-unit test-race test-envtest test-cluster ## Run every test below.

.PHONY: test-unit
test-unit: ## Run the tests that need no API server.
	$(GO) test $(GO_TEST_FLAGS) ./...

# Of the code itself, of pages and of goldens there is nothing to race.
.PHONY: test-race
test-race: ## Run them with the race detector, but for those that read the code and the pages.
	CGO_ENABLED=1 $(GO) test -race $(GO_TEST_FLAGS) $$($(GO) list ./... | grep -vE '/test/(arch|docs|golden)$$')

# Workers beyond one per target gain little; what a target finds is in its package's testdata/fuzz.
.PHONY: fuzz
fuzz: ## Fuzz every parser, FUZZTIME=10m each (8 hours), or those of PKG=proxy/wire.
	@for file in $$(grep -rl --include='*_test.go' '^func Fuzz' $(PKG)); do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' $$file); do \
	    echo "$$target of $${file%/*}"; \
	    $(GO) test ./$${file%/*} -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x -parallel 2 || exit 1; \
	  done; \
	done

# -count=1: go test's cache does not see that a CRD changed.
.PHONY: test-envtest
test-envtest: ## Run the tests against a real API server, which is built once (6 minutes) unless KUBEBUILDER_ASSETS names one.
	@assets=$$($(GO) run ./hack/envtest) && \
	echo "KUBEBUILDER_ASSETS=$$assets $(GO) test -tags envtest -count=1 $(GO_TEST_FLAGS) ./test/envtest/..." && \
	KUBEBUILDER_ASSETS=$$assets $(GO) test -tags envtest -count=1 $(GO_TEST_FLAGS) ./test/envtest/...

# A module of its own. -mod=mod: it follows what the program requires. -count=1: it does not see that the program changed.
.PHONY: test-oidc
test-oidc: ## Test logins against a real OpenID provider and Redis (Debian: redis-server).
	$(GO) test -C test/oidc -mod=mod -race -count=1 $(GO_TEST_FLAGS) ./...

.PHONY: test-browser
test-browser: ## Test logins in a real browser (Debian: chromium).
	$(GO) test -C test/oidc -mod=mod -tags browser -run '^TestBrowser' -count=1 $(GO_TEST_FLAGS) ./...

.PHONY: test-protocols
test-protocols: ## Run h2spec, the gRPC interoperability client and the conformance suite of Connect through the gateway.
	$(GO) test -C test/conformance/protocols -mod=mod -count=1 $(GO_TEST_FLAGS) ./...

# One cluster for both. Where none can run and KUBECONFIG names none, this says so.
.PHONY: test-cluster
test-cluster: $(CLUSTER) ## Run e2e and conformance, where a cluster can run: Linux, as root.
	$(CLUSTER) run --nodes 2 --if-possible -- make -k --no-print-directory verify-conformance e2e

.PHONY: e2e
e2e: $(CLUSTER) ## Run the tests on a real cluster: KUBECONFIG's, the one of make cluster, or one for the time of the test.
	$(CLUSTER) run --nodes 2 -- $(GO) test -tags e2e -count=1 -timeout 20m $(GO_TEST_FLAGS) ./test/e2e/...

.PHONY: conformance
conformance: $(CLUSTER) ## Run the Gateway API's conformance suite on such a cluster; write its report and docs/conformance.md.
	$(CLUSTER) run -- $(CONFORMANCE) -args -report-output report.yaml
	$(GO) test -count=1 ./test/docs -run Conformance -update

.PHONY: verify-conformance
verify-conformance: $(CLUSTER) ## Run the suite and compare with the report that is checked in.
	$(CLUSTER) run -- $(CONFORMANCE)

# No package is named to the suite's go test, so that it shows what a test that passes prints: the counts at its end.
# -exec: the tests are built out here, where modules can be fetched, and run in the network of the cluster.
IN_CLUSTER = -exec '"$(CURDIR)/$(CLUSTER)" exec --'
CONFORMANCE = $(GO) test -C test/conformance -count=1 -timeout 60m $(IN_CLUSTER) $(GO_TEST_FLAGS)

# All scenarios and all peers: docs/benchmarks.md is written. Some of them: they are only printed.
RUNS ?= 7
BENCH_FLAGS ?=
.PHONY: bench
bench: ## Measure speed and memory beside other proxies (20 minutes; SCENARIO=http1,tls PEERS=nginx RUNS=3 for some of it).
	$(GO) run ./test/bench --runs $(RUNS) $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(PEERS),--peers $(PEERS)) $(if $(SCENARIO)$(PEERS),,--write) $(BENCH_FLAGS)

SOAK ?= 8m
.PHONY: soak
soak: ## Keep a gateway busy for SOAK=8m while everything changes; fail if an answer is wrong or anything leaks.
	$(GO) run ./test/soak --duration $(SOAK)

.PHONY: bench-policies
bench-policies: ## Measure what each method, rule and credential of a policy costs a request, remembered and not.
	$(GO) test ./proxy/guard ./proxy/auth/... -run '^$$' -bench Method -benchmem | grep ^Benchmark

.PHONY: fuzz-seeds
fuzz-seeds: ## Run every fuzz target on its seed corpus.
	$(GO) test -run '^Fuzz' $(GO_TEST_FLAGS) ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters.
	$(GOLANGCI_LINT) run --build-tags envtest,e2e ./...
	cd test/conformance && $(CURDIR)/$(GOLANGCI_LINT) run ./...
	cd test/conformance/protocols && GOFLAGS="$(GOFLAGS) -mod=mod" $(CURDIR)/$(GOLANGCI_LINT) run ./...
	cd test/oidc && GOFLAGS="$(GOFLAGS) -mod=mod" $(CURDIR)/$(GOLANGCI_LINT) run --build-tags browser ./...

.PHONY: check-generate
check-generate: $(CONTROLLER_GEN) ## Fail if a generated file is not what its source says.
	@set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(CONTROLLER_GEN) object paths=./api/... output:object:dir="$$tmp"; \
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir="$$tmp/crd"; \
	$(CONTROLLER_GEN) rbac:roleName=gatehouse paths=./controllers/watch/... output:rbac:dir="$$tmp/rbac"; \
	$(GO) run ./hack/schemas "$$tmp/schemas.json" $(GATEWAY_API_CRDS) "$$tmp"/crd/*.yaml; \
	diff -u api/v1alpha1/zz_generated.deepcopy.go "$$tmp/zz_generated.deepcopy.go" && \
	diff -ru config/crd/bases "$$tmp/crd" && \
	diff -u config/rbac/role.yaml "$$tmp/rbac/role.yaml" && \
	diff -ru charts/gatehouse/files/crds "$$tmp/crd" && \
	diff -u charts/gatehouse/files/role.yaml "$$tmp/rbac/role.yaml" && \
	cmp controllers/manifests/schemas.json "$$tmp/schemas.json" || \
	{ echo 'Generated files differ from their sources; run `make generate` and commit the result.' >&2; exit 1; }

##@ Cluster

.PHONY: cluster
cluster: $(CLUSTER) ## Start a real Kubernetes cluster on this machine (Linux, root), with the image; built once (15 minutes).
	$(CLUSTER) up --nodes $(NODES)
	$(CLUSTER) load gatehouse

.PHONY: cluster-down
cluster-down: $(CLUSTER) ## End it; nothing is left.
	$(CLUSTER) down

.PHONY: kind-e2e
kind-e2e: image ## Run e2e on a cluster made by kind, with docker; cloud-provider-kind must be running.
	kind create cluster --name gatehouse --config hack/kind.yaml
	kind load docker-image $(IMAGE) --name gatehouse
	kubectl --context kind-gatehouse apply --server-side $(addprefix -f ,$(wildcard $(GATEWAY_API_CRDS)))
	kind get kubeconfig --name gatehouse > bin/kind.kubeconfig
	KUBECONFIG=$(CURDIR)/bin/kind.kubeconfig make e2e
	kind delete cluster --name gatehouse

# Rebuilt each time: the go command knows best what changed.
.PHONY: $(CLUSTER)
$(CLUSTER):
	@CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./hack/cluster

##@ Generate

.PHONY: generate
generate: manifests ## Write every generated file: deep copies, CRDs, roles, the schemas of standalone mode.
	$(CONTROLLER_GEN) object paths=./api/...
	$(GO) run ./hack/schemas controllers/manifests/schemas.json $(GATEWAY_API_CRDS) config/crd/bases/*.yaml

.PHONY: manifests
manifests: $(CONTROLLER_GEN) ## Write only the CRDs and the roles, for kubectl and for the chart.
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=gatehouse paths=./controllers/watch/... output:rbac:dir=config/rbac
	rm -f charts/gatehouse/files/crds/*.yaml && cp config/crd/bases/*.yaml charts/gatehouse/files/crds/
	cp config/rbac/role.yaml charts/gatehouse/files/role.yaml

$(CONTROLLER_GEN): $(TOOL_PINS)
	cd hack/tools && CGO_ENABLED=0 $(GO) build -o $(CURDIR)/$@ sigs.k8s.io/controller-tools/cmd/controller-gen
	@touch $@

$(GOLANGCI_LINT): $(TOOL_PINS)
	cd hack/tools && version=$$($(GO) list -m -f '{{.Version}}' github.com/golangci/golangci-lint/v2) && \
		CGO_ENABLED=0 $(GO) build -ldflags "-s -w -X main.version=$$version" -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@
