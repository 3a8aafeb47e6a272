# lvs-agents: resource agents for Linux Virtual Server under Pacemaker.

PREFIX     ?= /usr
UNITDIR    ?= $(PREFIX)/lib/systemd/system
OCF_DIR    ?= /usr/lib/ocf/resource.d/lvs
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/lvs-agents
FUZZTIME   ?= 10m
VERSION    ?= $(shell git describe --tags --always 2>/dev/null || echo unknown)
LINT        = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0
GOBIN      := $(CURDIR)/bin
AGENTS     := $(notdir $(wildcard agents/*))
COMMANDS   := $(notdir $(wildcard cmd/*))
GO         := $(shell command -v go || echo /usr/local/go/bin/go)
export CGO_ENABLED = 0

.PHONY: help build demo test check lint bench soak fuzz docs install install-ldirectord install-heartbeat record-ldirectord clean tools stage

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' Makefile

build: ## build every command into bin/
	@mkdir -p bin/tests
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/...
	$(GO) build -o bin/tests/ ./tests/killed

demo: tools build ## show a cluster of two directors at work (installs what it needs; as root)
	tests/run demo

test: tools check build ## run every test (installs what it needs; as root)
	tests/run test

check: lint ## gofmt, vet, linters, unit tests with the race detector, generated files
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	CGO_ENABLED=1 $(GO) test -race $$($(GO) list ./... | grep -v /tests/)

lint: bin/golangci-lint ## run the linters, which also hold the import rules
	bin/golangci-lint run ./...

bin/golangci-lint: Makefile
	GOBIN=$(GOBIN) $(GO) install $(LINT)
	@touch $@

bench: tools build ## compare agents with their peers in one run (as root)
	tests/run bench

soak: tools build ## the long tests: twenty moves, long fuzzing (as root)
	tests/run soak
	$(MAKE) fuzz

fuzz: ## fuzz every parser for FUZZTIME each (10m)
	tests/fuzz $(FUZZTIME)

docs: ## write meta-data goldens, reference and man pages from the declarations
	$(GO) test ./agents/... ./internal/config/reference -run TestGenerated -update

install: build ## install below DESTDIR; in ldirectord's place if the Perl program is not there
	@if [ -L $(DESTDIR)$(PREFIX)/sbin/ldirectord ] || [ ! -e $(DESTDIR)$(PREFIX)/sbin/ldirectord ]; then \
		$(MAKE) -s install-ldirectord; \
	else echo "$(DESTDIR)$(PREFIX)/sbin/ldirectord stays; make install-ldirectord takes its place"; fi
	install -d $(DESTDIR)$(OCF_DIR) $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man7 $(DESTDIR)$(DOCDIR)
	install -m 0755 $(AGENTS:%=bin/%) $(DESTDIR)$(OCF_DIR)/
	install -m 0755 $(filter-out $(AGENTS:%=bin/%),$(COMMANDS:%=bin/%)) $(DESTDIR)$(PREFIX)/sbin/
	ln -sf $(OCF_DIR)/realserver $(DESTDIR)$(PREFIX)/sbin/lvsrs
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)/etc/init.d $(DESTDIR)/etc/lvsrs.d
	install -m 0644 cmd/realserver/lvsrs@.service $(DESTDIR)$(UNITDIR)/
	install -m 0755 cmd/realserver/lvsrs.init $(DESTDIR)/etc/init.d/lvsrs
	install -m 0644 docs/man/*.5 $(DESTDIR)$(MANDIR)/man5/
	install -m 0644 docs/man/*.7 $(DESTDIR)$(MANDIR)/man7/
	install -d $(DESTDIR)$(UNITDIR)
	install -m 0644 cmd/directord/system/directord@.service $(DESTDIR)$(UNITDIR)/
	install -m 0644 README.md docs/*.md crm/examples/* $(DESTDIR)$(DOCDIR)/

install-ldirectord: ## install in the place of the Perl program ldirectord
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(UNITDIR) $(DESTDIR)/etc/init.d $(DESTDIR)/etc/ha.d/resource.d
	ln -sfn directord $(DESTDIR)$(PREFIX)/sbin/ldirectord
	ln -sfn $(PREFIX)/sbin/ldirectord $(DESTDIR)/etc/ha.d/resource.d/ldirectord
	install -m 0644 cmd/directord/system/ldirectord.service $(DESTDIR)$(UNITDIR)/
	install -m 0755 cmd/directord/system/ldirectord.init $(DESTDIR)/etc/init.d/ldirectord

install-heartbeat: ## install the scripts for haresources of heartbeat
	install -d $(DESTDIR)/etc/ha.d/resource.d
	ln -sfn $(OCF_DIR)/vip $(DESTDIR)/etc/ha.d/resource.d/lvsvip
	ln -sfn $(OCF_DIR)/ipvs $(DESTDIR)/etc/ha.d/resource.d/lvsipvs
	ln -sfn $(OCF_DIR)/health $(DESTDIR)/etc/ha.d/resource.d/lvshealth
	ln -sfn $(OCF_DIR)/realserver $(DESTDIR)/etc/ha.d/resource.d/lvsrs

record-ldirectord: tools build ## record what the Perl program ldirectord does to the table (as root, 20 minutes)
	tests/run record

stage: build
	rm -rf bin/root
	$(MAKE) -s install install-heartbeat DESTDIR=$(CURDIR)/bin/root

tools:
	tests/install

clean: ## remove what was built
	rm -rf bin dist tests/out
