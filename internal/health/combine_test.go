package health

import (
	"testing"

	"lvs-agents/internal/config"
)

func TestCombine(t *testing.T) {
	for _, tt := range []struct {
		name     string
		verdicts []Verdict
		want     Verdict
		deciding int
	}{
		{"no check", nil, Good, 0},
		{"one", []Verdict{Bad}, Bad, 0},
		{"all good", []Verdict{Good, Good}, Good, 0},
		{"one is bad", []Verdict{Good, Bad}, Bad, 1},
		{"one is unknown", []Verdict{Good, Unknown}, Unknown, 1},
		{"bad counts before unknown", []Verdict{Unknown, Good, Bad}, Bad, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &Daemon{trackers: map[Probe]*tracker{}}
			var real Real
			for i, v := range tt.verdicts {
				p := Probe{Check: config.Check{Type: config.Connect, Fall: i}}
				real.Probes = append(real.Probes, p)
				d.trackers[p] = &tracker{verdict: v}
			}
			if got := d.combine(real); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if len(real.Probes) > 0 && d.deciding(real) != real.Probes[tt.deciding] {
				t.Errorf("decided by %+v", d.deciding(real))
			}
		})
	}
}
