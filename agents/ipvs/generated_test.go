package ipvs

import (
	"testing"

	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/metadata/metadatatest"
	"lvs-agents/ocf"
)

func TestGenerated(t *testing.T) {
	metadatatest.Run(t, func() ocf.Agent { return New(kerneltest.NewIPVS(), nil, nil) })
}
