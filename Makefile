# nicferry. `make` alone lists what there is to run.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
# Go 1.21 and later fetch the toolchain that go.mod asks for, unless told not to.
export GOTOOLCHAIN ?= auto
# A clone that belongs to another user makes git, and so the build, refuse.
export GOFLAGS := $(filter-out -buildvcs=% -trimpath,$(GOFLAGS)) -buildvcs=false -trimpath
# Programs that scripts/install-deps could not install beside the machine's own
# come first, then Go where it was given by path; sudo's PATH lacks the last ones.
export PATH := /var/lib/nicferry-dev/bin:$(if $(findstring /,$(GO)),$(dir $(GO)):)$(PATH):/usr/sbin:/sbin:/usr/local/go/bin

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
STAMP := github.com/nicferry/nicferry/internal/version
LDFLAGS := -s -w -X $(STAMP).version=$(VERSION) -X $(STAMP).commit=$(COMMIT)
BIN ?= bin
# Built first: `go run` would add a line of its own after the last one.
SUITES := $(GO) build -o build/suites ./internal/suites && build/suites

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

DEMO = '$(BIN)'/nicferry-lab demo $(if $(filter 1,$(PLANT)),--plant) $(if $(JSON),--json '$(JSON)')
.PHONY: demo
demo: deps build ## show it all on two virtual machines, as root: PLANT=1 leaves a veth (must fail), JSON=path writes the figures
	@$(DEMO)

.PHONY: demo-aws
demo-aws: deps build ## the same with an emulated EC2 that plugs NICs into the virtual machines: PLANT=1 and JSON=path too
	@$(DEMO) --aws

.PHONY: demo-aliyun
demo-aliyun: deps build ## the same with an emulated ECS of Alibaba Cloud: PLANT=1 and JSON=path too
	@$(DEMO) --aliyun

.PHONY: demo-sriov
demo-sriov: deps build ## the same with a virtual machine as a physical host, whose two cards are cut into VFs, and switch A is pulled: PLANT=1 and JSON=path too
	@$(DEMO) --sriov

.PHONY: s0
s0: deps build ## go through the checklist of the SR-IOV paper, S0-1 to S0-12, on such a host: a line for each with the command that shows it
	@'$(BIN)'/nicferry-lab s0

.PHONY: s1
s1: deps build ## go through the checklist of the paper on NICs of a cloud, S1-1 to S1-15, on virtual machines of an emulated ECS: a line for each
	@scripts/install-deps vm s1
	@'$(BIN)'/nicferry-lab s1

.PHONY: demo-local
demo-local: deps build ## the same on this machine alone, without virtual machines: PLANT=1 and JSON=path too
	@$(DEMO) --local

# nicferryd and nicferry-lab load libvirt's library where they find one, which takes a
# C compiler to build, but nothing of libvirt's. The rest is static and pure Go.
LIBVIRT ?= 1
WITH_LIBVIRT := nicferryd nicferry-lab
TAGS := libvirt,libvirt_dlopen
BUILD := $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o '$(BIN)/'
.PHONY: build
build: go ## build the programs into bin/ (LIBVIRT=0: all static, without libvirt)
	@mkdir -p '$(BIN)'
ifeq ($(LIBVIRT),0)
	@CGO_ENABLED=0 $(BUILD) ./cmd/...
else
	@CGO_ENABLED=0 $(BUILD) $(filter-out $(addprefix ./cmd/,$(WITH_LIBVIRT)),$(patsubst %/,./%,$(wildcard cmd/*/)))
	@command -v '$(shell $(GO) env CC)' >/dev/null || { echo 'nicferry: no C compiler: install gcc and libc6-dev, or build without libvirt: make build LIBVIRT=0' >&2; exit 1; }
	@CGO_ENABLED=1 $(BUILD) -tags '$(TAGS)' $(addprefix ./cmd/,$(WITH_LIBVIRT))
endif

DEB ?= build/deb
.PHONY: deb
deb: ## build Debian packages into build/deb/ (DEB=dir, DEB_VERSION=…): nicferry-controller, nicferry-agent, nicferry
	@$(MAKE) build BIN='$(DEB)/bin' VERSION='$(VERSION)'
	@GO='$(GO)' DEB_VERSION='$(DEB_VERSION)' scripts/deb '$(DEB)/bin' '$(DEB)'

.PHONY: deps
deps: go ## install the Debian packages that the demo needs and this machine lacks
	@scripts/install-deps vm

.PHONY: check
check: go deps-test ## gofumpt, vet, staticcheck, archtest and the fast tests with -race
	@$(SUITES) test build base

.PHONY: test
test: go deps-test ## every suite but vm, or SUITE="name…": installs what it needs, prints time per suite, ends with a count
	@$(SUITES) test $(SUITE)

.PHONY: test-long
test-long: go deps-test ## everything TIMES=3 times in random order, with the long tests; writes docs/test-long.md
	@$(SUITES) test -long -times $(or $(TIMES),3) $(SUITE)

OUT ?= build/bench
N ?= 100
CNI := ipam/dhcp ipam/static main/host-device
.PHONY: bench
bench: deps build ## measure against the kernel, CNI and scripts, as root: OUT=dir (build/bench), N=rounds; FORCE=1 on a busy machine too; DOC=docs/bench.md writes the report there too
	@mkdir -p build/bench/cni
	@cd tools/bench && CGO_ENABLED=0 $(GO) build -o ../../build/bench/cni/ $(addprefix github.com/containernetworking/plugins/plugins/,$(CNI))
	@$(GO) build -o build/bench/bench ./internal/bench
	@build/bench/bench -out '$(OUT)' -bin '$(BIN)' -cni build/bench/cni -commit '$(VERSION)' -n '$(N)' $(if $(filter 1,$(FORCE)),-force) $(if $(DOC),-doc '$(DOC)')

.PHONY: bench-vm
bench-vm: deps build ## measure hot-plug against virsh, and a hot-plugged NIC against Docker's networks, in a VM, as root: OUT=dir (build/bench)-vm, ROUNDS=50
	@scripts/install-deps vm bench
	@'$(BIN)/nicferry-lab' bench --out '$(OUT)-vm' $(if $(ROUNDS),--rounds '$(ROUNDS)') --commit '$(VERSION)'

.PHONY: bench-move
bench-move: deps build ## measure how long nobody answers while a NIC or a container moves between two VMs, against virsh, as root: OUT=dir (build/bench)-move, ROUNDS=30
	@mkdir -p build/bench
	@CGO_ENABLED=0 $(GO) build -trimpath -o build/bench/echo ./e2e/migrate/echo
	@'$(BIN)/nicferry-lab' bench moves --echo build/bench/echo --out '$(OUT)-move' $(if $(ROUNDS),--rounds '$(ROUNDS)') --commit '$(VERSION)'

.PHONY: bench-sriov
bench-sriov: deps build ## measure VFs and bonds of VFs against their card, macvlan and Docker's bridge, in a VM, as root: OUT=dir (build/bench)-sriov, ROUNDS=5; DOC=docs/bench-sriov.md writes the report and its plots there too
	@scripts/install-deps vm bench
	@mkdir -p build/bench
	@CGO_ENABLED=0 $(GO) build -trimpath -o build/bench/vfmove ./e2e/sriov/vfmove
	@'$(BIN)/nicferry-lab' bench sriov --mover build/bench/vfmove --out '$(OUT)-sriov' $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(DOC),--doc '$(DOC)') --commit '$(VERSION)'

.PHONY: bench-fleet
bench-fleet: deps ## measure how long no new claim is answered when the controller that leads is lost, on etcd, as root: ROUNDS=10
	@$(GO) test ./e2e/fleet -run '^$$' -bench FailOver -benchtime '$(or $(ROUNDS),10)x' -timeout 30m

.PHONY: bench-cloud
bench-cloud: build ## measure the controller's way with a cloud, on the emulator of EC2: OUT=dir (build/bench)-cloud, ROUNDS=5; DOC=docs/bench-cloud.md writes the report there too
	@'$(BIN)/nicferry-lab' bench cloud --out '$(OUT)-cloud' $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(DOC),--doc '$(DOC)') --commit '$(VERSION)'

.PHONY: sim
sim: build ## play fleets in virtual time with the real allocator: OUT=dir (build/bench)-sim, NODES=100,1000,10000, CONTAINERS=50, SEED=1; DOC=docs copies sim.md and sim.html there; the largest takes hours of processor
	@'$(BIN)/nicferry-lab' sim --out '$(OUT)-sim' $(if $(NODES),--nodes '$(NODES)') $(if $(CONTAINERS),--containers '$(CONTAINERS)') $(if $(SEED),--seed '$(SEED)') --commit '$(VERSION)' >/dev/null
	@$(if $(DOC),cp '$(OUT)-sim/sim.md' '$(OUT)-sim/sim.html' '$(DOC)/')

.PHONY: soak
soak: build ## do harm every minute to a controller and an agent under load, and tell whether all stays flat, as root: OUT=dir (build/bench)-soak, FOR=30m, SEED=1; DOC=docs copies soak.md and soak.html there
	@scripts/install-deps
	@'$(BIN)/nicferry-lab' soak --out '$(OUT)-soak' $(if $(FOR),--for '$(FOR)') $(if $(SEED),--seed '$(SEED)') --commit '$(VERSION)' >/dev/null
	@$(if $(DOC),cp '$(OUT)-soak/soak.md' '$(OUT)-soak/soak.html' '$(DOC)/')

.PHONY: status
status: go ## hold the README's status table against the tests and their last results
	@$(SUITES) status

.PHONY: failure-modes
failure-modes: go ## list the known failure modes with their tests and last results
	@$(SUITES) failure-modes

.PHONY: fmt
fmt: go ## format the sources
	@$(GO) tool -modfile=tools/go.mod gofumpt -w .

.PHONY: dead
dead: go ## list functions that no program and no test reaches
	@$(GO) tool -modfile=tools/go.mod deadcode -test ./...

.PHONY: clean
clean: ## remove what was built
	@rm -rf bin build

.PHONY: clean-host
clean-host: ## remove the packages that deps installed, and no other (asks, or YES=1)
	@scripts/clean-host

.PHONY: go
go:
	@GO='$(GO)' scripts/need-go

.PHONY: deps-test
deps-test: go
	@scripts/install-deps vm test
