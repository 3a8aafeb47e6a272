package main

import (
	"testing"

	"lvs-agents/metadata/metadatatest"
)

func TestGenerated(t *testing.T) {
	metadatatest.Golden(t, "docs/man/directord.8", program.Man())
	drop := program
	drop.Name = "ldirectord"
	metadatatest.Golden(t, "docs/man/ldirectord.8", drop.Man())
	metadatatest.Golden(t, "cmd/directord/completion/directord", program.Bash("ldirectord"))
}
