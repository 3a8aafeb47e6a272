package lvsrs

import (
	"testing"

	"lvs-agents/metadata/metadatatest"
)

func TestGenerated(t *testing.T) {
	metadatatest.Golden(t, "docs/man/lvsrs.8", program.Man())
	for file, text := range program.Completions() {
		metadatatest.Golden(t, "cmd/realserver/completion/"+file, text)
	}
}
