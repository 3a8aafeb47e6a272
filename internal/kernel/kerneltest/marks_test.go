package kerneltest

import (
	"testing"

	"lvs-agents/internal/host"
)

func TestMarksFake(t *testing.T) {
	for _, kind := range []host.SettingKind{host.NFTMarks, host.IPTablesMarks} {
		RunMarks(t, NewMarks(), kind)
	}
}
