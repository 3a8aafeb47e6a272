package control

import (
	"context"
	"errors"
	"net"
)

// View answers requests on the socket of ListenView until ctx ends. It tells the status,
// explains, sends events, and refuses all other requests.
func View(ctx context.Context, listener *net.UnixListener, d Daemon, feed *Feed) error {
	return Serve(ctx, listener, view{d}, feed)
}

// view is a daemon that refuses every request that changes something. It does not embed the
// daemon, so a new method of Daemon is not allowed by accident.
type view struct{ daemon Daemon }

var errViewOnly = errors.New("this socket only tells the status, explanations and events; send the request as root")

// Snapshot implements Daemon.
func (v view) Snapshot(ctx context.Context) (Snapshot, error) { return v.daemon.Snapshot(ctx) }

// Explain implements Daemon.
func (v view) Explain(ctx context.Context, f Filter) (Explanation, error) {
	return v.daemon.Explain(ctx, f)
}

// Resync refuses the request.
func (view) Resync(context.Context) error { return errViewOnly }

// Reload refuses the request.
func (view) Reload(context.Context) error { return errViewOnly }

// Order refuses the request.
func (view) Order(context.Context, Command) error { return errViewOnly }
