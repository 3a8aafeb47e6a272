# lvs-agents: resource agents for Linux Virtual Server under Pacemaker.

-include version.mk # in a source package: VERSION and SOURCE_DATE_EPOCH

PREFIX     ?= /usr
UNITDIR    ?= $(PREFIX)/lib/systemd/system
OCF_DIR    ?= /usr/lib/ocf/resource.d/lvs
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/lvs-agents
COMPDIR    ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR     ?= $(PREFIX)/share/zsh/site-functions
FISHDIR    ?= $(PREFIX)/share/fish/vendor_completions.d
INITDIR    ?= /etc/init.d
FUZZTIME   ?= 10m
DESCRIBED   = $(shell git describe --tags --match 'v[0-9]*' 2>/dev/null | sed 's/^v//; s/-/+/; s/-/./')
COUNTED     = 0.$(shell git rev-list --count HEAD 2>/dev/null || echo 0)+$(shell git rev-parse --short=9 HEAD 2>/dev/null || echo unknown)
VERSION    ?= $(or $(DESCRIBED),$(COUNTED))
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
VERSION    := $(VERSION)
LINT        = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0
GOBIN      := $(CURDIR)/bin
AGENTS     := $(notdir $(wildcard agents/*))
COMMANDS   := $(notdir $(wildcard cmd/*))
PROGRAMS   := $(filter-out $(AGENTS),$(COMMANDS))
GO         := $(shell command -v go || echo /usr/local/go/bin/go)
PAGES      := $(filter-out $(addprefix docs/,README.md architecture.md design.md releasing.md style.md),$(wildcard docs/*.md))
TESTED     := agents cmd crm internal metadata tests
OTHERARCHS := arm64 ppc64le s390x
SOURCE      = dist/lvs-agents-$(VERSION).tar.gz
export CGO_ENABLED = 0
export PATH := $(PATH):/usr/local/go/bin

.PHONY: help build demo test unit check release-check lint bench soak fuzz docs install install-agents install-realserver install-ldirectord install-heartbeat record-ldirectord dist rpm deb clean programs tools packagers stage

help: ## show this list
	@awk '/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {name = text = $$0; sub(/:.*/, "", name); sub(/.*## /, "", text); printf "  make %-22s %s\n", name, text} \
		/^#: / {name = $$2; sub(/^#: [^ ]+ */, ""); printf "  %-27s %s\n", name, $$0}' Makefile

##@ Build and test

build: programs ## build every command into bin/
	@mkdir -p bin/tests
	$(GO) build -o bin/tests/ ./tests/programs/killed

unit: ## unit tests; no root, and no network once the modules are there
	tests/unit

check: lint ## gofmt, vet for each architecture, linters, unit tests with the race detector, generated files
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	for arch in $(OTHERARCHS); do GOARCH=$$arch $(GO) build -trimpath ./... && GOARCH=$$arch $(GO) vet -trimpath ./... || exit 1; done
	CGO_ENABLED=1 $(GO) test -race $$($(GO) list ./... | grep -v /tests/)
	$(GO) test ./tests/states ./tests/repository ./tests/pages
	$(GO) test ./tests/lab -run 'TestTimeoutFollowsTheMachine|TestPeerIsFoundByItsContent'

lint: bin/golangci-lint ## run the linters, which also hold the import rules
	bin/golangci-lint run ./...

test: tools check build ## every test (installs what it needs; as root)
	tests/run test

demo: tools build ## show a cluster of two directors at work (installs what it needs; as root)
	tests/run demo

##@ Longer

fuzz: ## fuzz every parser for FUZZTIME each
	tests/fuzz $(FUZZTIME)

bench: tools build ## measure our agents and the programs that they replace (as root)
	tests/run bench

soak: tools build ## the long tests: many moves and crashes, long fuzzing (as root)
	tests/run soak
	$(MAKE) fuzz

record-ldirectord: tools build ## record how the Perl program ldirectord changes the table (as root, 20 minutes)
	tests/run record

##@ Change

docs: ## write meta-data, pages, manual pages, picture and indexes from their sources
	$(GO) test $$(grep -rl --include='*_test.go' '^func TestGenerated(' $(TESTED) | xargs -n 1 dirname | sort -u | sed 's|^|./|') -run TestGenerated -update

release-check: ## check that the commit can be tagged as a version: docs/releasing.md
	tests/release

clean: ## remove all built files
	rm -rf bin dist tests/out

##@ Install and package

install: programs install-agents install-realserver ## install below DESTDIR; also as ldirectord if the Perl program is not installed
	@if [ -L $(DESTDIR)$(PREFIX)/sbin/ldirectord ] || [ ! -e $(DESTDIR)$(PREFIX)/sbin/ldirectord ]; then \
		$(MAKE) -s install-ldirectord; \
	else echo "$(DESTDIR)$(PREFIX)/sbin/ldirectord stays; make install-ldirectord takes its place"; fi

# Each of the next targets installs the content of one package. The RPM spec and deb/rules call
# these targets.

install-agents:
	install -d $(DESTDIR)$(OCF_DIR) $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man7 $(DESTDIR)$(MANDIR)/man8
	install -m 0755 $(patsubst %,bin/%,$(filter-out realserver,$(AGENTS))) $(DESTDIR)$(OCF_DIR)/
	install -m 0755 $(PROGRAMS:%=bin/%) $(DESTDIR)$(PREFIX)/sbin/
	install -m 0644 docs/man/*.5 $(DESTDIR)$(MANDIR)/man5/
	install -m 0644 $(filter-out %_realserver.7,$(wildcard docs/man/*.7)) $(DESTDIR)$(MANDIR)/man7/
	install -m 0644 $(PROGRAMS:%=docs/man/%.8) $(DESTDIR)$(MANDIR)/man8/
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(PREFIX)/lib/tmpfiles.d $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)/etc/logrotate.d $(DESTDIR)$(COMPDIR) $(DESTDIR)$(DOCDIR)
	install -m 0644 cmd/directord/system/directord@.service cmd/lvsctl/system/lvsctl-serve.service $(DESTDIR)$(UNITDIR)/
	install -m 0644 cmd/lvsctl/system/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/lvs-agents.conf
	install -m 0644 cmd/directord/system/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/lvs-agents.conf
	install -m 0644 cmd/directord/system/logrotate.conf $(DESTDIR)/etc/logrotate.d/lvs-agents
	install -m 0644 cmd/lvsctl/completion/lvsctl cmd/directord/completion/directord $(DESTDIR)$(COMPDIR)/
	install -d $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	install -m 0644 cmd/lvsctl/completion/_lvsctl cmd/directord/completion/_directord $(DESTDIR)$(ZSHDIR)/
	install -m 0644 cmd/lvsctl/completion/lvsctl.fish cmd/directord/completion/directord.fish $(DESTDIR)$(FISHDIR)/
	install -d $(DESTDIR)$(DOCDIR)/howto $(DESTDIR)$(DOCDIR)/monitoring
	install -m 0644 README.md CHANGELOG.md $(PAGES) crm/examples/* $(wildcard THIRD-PARTY) $(DESTDIR)$(DOCDIR)/
	install -m 0644 docs/howto/*.md $(DESTDIR)$(DOCDIR)/howto/
	install -m 0644 docs/monitoring/* $(DESTDIR)$(DOCDIR)/monitoring/

install-realserver:
	install -d $(DESTDIR)$(OCF_DIR) $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(MANDIR)/man7 $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(UNITDIR) $(DESTDIR)/etc/lvsrs.d $(DESTDIR)$(COMPDIR)
	install -m 0755 bin/realserver $(DESTDIR)$(OCF_DIR)/
	ln -srfn $(DESTDIR)$(OCF_DIR)/realserver $(DESTDIR)$(PREFIX)/sbin/lvsrs
	install -m 0644 cmd/realserver/lvsrs@.service $(DESTDIR)$(UNITDIR)/
	install -m 0644 docs/man/ocf_lvs_realserver.7 $(DESTDIR)$(MANDIR)/man7/
	install -m 0644 docs/man/lvsrs.8 $(DESTDIR)$(MANDIR)/man8/
	install -m 0644 cmd/realserver/completion/lvsrs $(DESTDIR)$(COMPDIR)/
	install -d $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	install -m 0644 cmd/realserver/completion/_lvsrs $(DESTDIR)$(ZSHDIR)/
	install -m 0644 cmd/realserver/completion/lvsrs.fish $(DESTDIR)$(FISHDIR)/
	install -d $(DESTDIR)$(DOCDIR)-realserver
	install -m 0644 docs/real-servers.md docs/realserver.md crm/examples/realserver.* $(wildcard THIRD-PARTY) $(DESTDIR)$(DOCDIR)-realserver/
ifneq ($(INITDIR),)
	install -d $(DESTDIR)$(INITDIR)
	install -m 0755 cmd/realserver/lvsrs.init $(DESTDIR)$(INITDIR)/lvsrs
endif

install-ldirectord: ## install directord as ldirectord, even if the Perl program is installed
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(UNITDIR) $(DESTDIR)/etc/ha.d/resource.d $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(COMPDIR) $(DESTDIR)$(FISHDIR)
	ln -sfn directord $(DESTDIR)$(PREFIX)/sbin/ldirectord
	ln -sfn $(PREFIX)/sbin/ldirectord $(DESTDIR)/etc/ha.d/resource.d/ldirectord
	install -m 0644 cmd/directord/system/ldirectord.service $(DESTDIR)$(UNITDIR)/
	install -m 0644 docs/man/ldirectord.8 $(DESTDIR)$(MANDIR)/man8/
	ln -sfn directord $(DESTDIR)$(COMPDIR)/ldirectord
	ln -sfn directord.fish $(DESTDIR)$(FISHDIR)/ldirectord.fish

ifneq ($(INITDIR),)
	install -d $(DESTDIR)$(INITDIR)
	install -m 0755 cmd/directord/system/ldirectord.init $(DESTDIR)$(INITDIR)/ldirectord
endif

install-heartbeat: ## install the scripts for haresources of heartbeat
	install -d $(DESTDIR)/etc/ha.d/resource.d
	ln -sfn $(OCF_DIR)/vip $(DESTDIR)/etc/ha.d/resource.d/lvsvip
	ln -sfn $(OCF_DIR)/ipvs $(DESTDIR)/etc/ha.d/resource.d/lvsipvs
	ln -sfn $(OCF_DIR)/health $(DESTDIR)/etc/ha.d/resource.d/lvshealth
	ln -sfn $(OCF_DIR)/realserver $(DESTDIR)/etc/ha.d/resource.d/lvsrs

dist: $(SOURCE) ## write the sources of the commit, with all modules, to dist/

rpm: packagers dist ## build RPMs into dist/, offline from make dist
	rpm/build $(SOURCE) dist $(ARCH)

deb: packagers dist ## build Debian packages into dist/, offline from make dist
	deb/build $(SOURCE) dist $(ARCH)

##@ Variables

#: ARCH           architecture for make rpm and make deb, in their words (aarch64, arm64)
#: DESTDIR        directory that the install targets put before every path
#: FUZZTIME       how long make fuzz and make soak fuzz each parser (10m)
#: LAB_ABSENCE    how long a director is away in tests/sync (20s; 5m in make soak)
#: LAB_CRASHES    crashes of a director in each configuration of tests/moves (1; 20 in make soak)
#: LAB_FIGURES    directory for the results of tests/moves and tests/sync; also measures peers
#: LAB_MOVES      how often the cluster tests move the service in each way (2; 20 in make soak)
#: LAB_OPEN       open connections in tests/moves (1000)
#: LAB_RATE       new connections a second in tests/moves (100)
#: LAB_UML        1: tests/lab boots its guest even if the kernel of this machine has IPVS
#: LAB_BOOTS      2: a guest whose kernel hangs is booted once more (make test sets this)
#: REQUIRE_KERNEL 1: a test without root or IPVS fails and is not skipped (make test sets this)
#: VERSION        version of the built programs (from git tags, else from the number of commits)

# The next targets prepare the targets above; make help does not list them.

programs:
	@mkdir -p bin
	$(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/...

stage: build
	rm -rf bin/root
	$(MAKE) -s install install-heartbeat DESTDIR=$(CURDIR)/bin/root

tools:
	tests/install

packagers:
	tests/install tests/packages.build

$(SOURCE):
	rpm/dist $(VERSION) $(SOURCE_DATE_EPOCH) $@

bin/golangci-lint: Makefile
	GOBIN=$(GOBIN) $(GO) install $(LINT)
	@touch $@
