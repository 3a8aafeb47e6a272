package main

import (
	"strings"
	"testing"

	"lvs-agents/agents/vip/note"
)

func TestStatusShowsWhatNeighboursSaid(t *testing.T) {
	state := t.TempDir()
	for id, text := range map[string]string{
		"web-vip": "192.0.2.10 on eth0: neighbour 192.0.2.254 sends to this node\n",
		"dns-vip": "192.0.2.53 on eth0: neighbour 192.0.2.1 did not reply within 3000ms\n192.0.2.53 on eth0: neighbour 192.0.2.2 sends to this node\n",
	} {
		if err := note.Of(state, note.Proof, id).Write(text); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs strings.Builder
	code := run(t.Context(), []string{"status"}, system{stdout: &out, stderr: &errs, stateDir: state})
	const want = `dns-vip: vip, at its start: 192.0.2.53 on eth0: neighbour 192.0.2.1 did not reply within 3000ms
dns-vip: vip, at its start: 192.0.2.53 on eth0: neighbour 192.0.2.2 sends to this node
web-vip: vip, at its start: 192.0.2.10 on eth0: neighbour 192.0.2.254 sends to this node
`
	if code != 0 || out.String() != want || errs.String() != "" {
		t.Errorf("%d %s\n%s", code, errs.String(), out.String())
	}
}
