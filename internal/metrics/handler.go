package metrics

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/procfs"

	"lvs-agents/internal/control"
)

// patience is how long a scrape waits for a daemon. All daemons are queried at the same time.
const patience = time.Second

// Source reads the state that the metrics show.
type Source struct {
	// IDs returns the ids of the daemons on this node.
	IDs func() ([]string, error)
	// Status reads the state of a daemon.
	Status func(ctx context.Context, id string) (control.Snapshot, error)
	// Proc is the directory of the proc file system, usually /proc.
	Proc string
}

// Handler serves the metrics over HTTP. With the parameter servers=1, the reply also has metrics of
// each real server.
func (s Source) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
			state, err := s.read(r.Context(), r.FormValue("servers") == "1")
			return Families(state), err
		})
		// If IPVS cannot be read, the metrics of the daemons are still true.
		promhttp.HandlerFor(gather, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(w, r)
	})
}

// read returns the state of this node. The error is why some of the state is missing.
func (s Source) read(ctx context.Context, servers bool) (State, error) {
	state := State{Servers: servers}
	ids, err := s.IDs()
	state.Daemons = s.daemons(ctx, ids)
	proc, failed := procfs.NewFS(s.Proc)
	if failed != nil {
		return state, errors.Join(err, failed)
	}
	switch counters, failed := proc.IPVSStats(); {
	case errors.Is(failed, fs.ErrNotExist):
		return state, err // the kernel does not have IPVS
	case failed != nil:
		return state, errors.Join(err, failed)
	default:
		state.Counters = &counters
	}
	if servers {
		state.Backends, failed = proc.IPVSBackendStatus()
	}
	return state, errors.Join(err, failed)
}

// daemons queries all daemons at the same time.
func (s Source) daemons(ctx context.Context, ids []string) []Daemon {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	daemons := make([]Daemon, len(ids))
	var queries sync.WaitGroup
	for i, id := range ids {
		queries.Go(func() {
			snapshot, err := s.Status(ctx, id)
			daemons[i] = Daemon{ID: id, Snapshot: snapshot, Err: err}
		})
	}
	queries.Wait()
	return daemons
}
