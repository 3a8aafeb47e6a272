package health_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/health"
)

const oneService = `checkinterval=1
failurecount=5
own_fault=20
quiescent=yes
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate 1
	real=192.0.2.22:80 gate 1
	real=192.0.2.23:80 gate 1
`

// lose takes away the paths to some real servers. Their checks fail, too.
func (w *world) lose(addrs ...string) {
	w.set(func() {
		w.cut = map[string]string{}
		clear(w.down)
		for _, addr := range addrs {
			w.cut[addr], w.down[addr] = "eth0 has no carrier", true
		}
	})
}

func (w *world) check(t *testing.T, d *health.Daemon, when, weights, trouble string, score int) {
	t.Helper()
	w.wantWeights(t, when, weights)
	s, err := d.Snapshot(t.Context())
	if err != nil || !strings.Contains(s.Trouble, trouble) || trouble == "" && s.Trouble != "" {
		t.Errorf("%s: trouble %q, %v; want %q", when, s.Trouble, err, trouble)
	}
	if share, err := d.Share(t.Context()); err != nil || share.Score() != score {
		t.Errorf("%s: score %d, %v; want %d", when, share.Score(), err, score)
	}
}

// kinds returns how many events of own_fault and own_fault_over occurred.
func (w *world) kinds() (began, over int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == health.OwnFault {
			began++
		}
		if e.Kind == health.OwnFaultOver {
			over++
		}
	}
	return began, over
}

// TestDirectorSuspectsItselfWithoutPaths checks that the loss of the paths leads to a suspicion
// before the checks have a verdict, once, and for a limited time.
func TestDirectorSuspectsItselfWithoutPaths(t *testing.T) {
	const one, two, three = "192.0.2.21", "192.0.2.22", "192.0.2.23"
	const fault = "own fault suspected: eth0 has no carrier, so real servers that fail now continue to serve until "
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneService)
		w.run(t, "web", func(d *health.Daemon) {
			w.lose(one)
			w.settle()
			w.check(t, d, "one of three paths", "1 1 1", "", 1000)
			w.lose(one, two)
			w.settle()
			w.check(t, d, "two of three paths, no verdict yet", "1 1 1", fault, 0)
			<-time.After(10 * time.Second)
			w.check(t, d, "the verdicts are bad", "1 1 1", fault, 0)
			<-time.After(12 * time.Second)
			w.check(t, d, "after the time", "0 0 1", "", 0)
			<-time.After(time.Minute)
			w.check(t, d, "no second suspicion", "0 0 1", "", 0)
			w.lose()
			w.settle()
			w.check(t, d, "the paths are back", "1 1 1", "", 1000)
			if began, over := w.kinds(); began != 1 || over != 1 {
				t.Errorf("%d times own_fault, %d times own_fault_over", began, over)
			}
			w.lose(one, two, three)
			w.settle()
			w.lose()
			w.settle()
			w.check(t, d, "a short loss", "1 1 1", fault, 1000)
		})
	})
}

// TestDirectorThatBeginsWithoutPaths checks that a daemon without paths from the beginning does not
// let unchecked real servers serve.
func TestDirectorThatBeginsWithoutPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, strings.Replace(oneService, "failurecount=5\n", "", 1))
		w.lose("192.0.2.21", "192.0.2.22", "192.0.2.23")
		w.run(t, "web", func(d *health.Daemon) {
			w.check(t, d, "start", "0 0 0", "", 0)
		})
	})
}
