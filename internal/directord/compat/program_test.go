package compat

import (
	"testing"

	"lvs-agents/metadata/metadatatest"
)

func TestGenerated(t *testing.T) {
	metadatatest.Golden(t, "docs/man/directord.8", Program.Man())
	drop := Program
	drop.Name = "ldirectord"
	metadatatest.Golden(t, "docs/man/ldirectord.8", drop.Man())
	for file, text := range Program.Completions("ldirectord") {
		metadatatest.Golden(t, "cmd/directord/completion/"+file, text)
	}
}
