package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/host"
)

func TestSyncDaemons(t *testing.T) { RunSync(t, NewIPVS()) }

func TestIPVS(t *testing.T) {
	RunIPVS(t, func(*testing.T) IPVSKernel { return NewIPVS() })
}

func TestIPVSMissing(t *testing.T) {
	k := NewIPVS()
	k.Missing = true
	_, err := k.Table(t.Context())
	_, second := k.Apply(t.Context(), ParseOps(t, "-A -f 1 -s rr"))
	if !errors.Is(err, host.ErrNotInstalled) || !errors.Is(second, host.ErrNotInstalled) {
		t.Errorf("got %v, %v", err, second)
	}
}

func TestIPVSFailsAfter(t *testing.T) {
	for n := range 4 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			k := NewIPVS()
			broken := errors.New("broken")
			k.FailAfter(n, broken)
			ops := ParseOps(t, "-A -f 1 -s rr\n-A -f 2 -s rr\n-A -f 3 -s rr\n-A -f 4 -s rr")
			if done, err := k.Apply(t.Context(), ops); done != n || !errors.Is(err, broken) {
				t.Errorf("got %d, %v", done, err)
			}
			if done, err := k.Apply(t.Context(), ops[n:]); done != 4-n || err != nil {
				t.Errorf("after the failure: got %d, %v", done, err)
			}
		})
	}
}

func TestIPVSStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewIPVS()
		k.Stall = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := k.Table(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
