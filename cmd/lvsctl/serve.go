package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/metrics"
)

type serveCommand struct {
	Listen string `placeholder:"ADDRESS" default:"127.0.0.1:9946" help:"Address and port where to listen. The pages have no password, so an address that others can reach needs a packet filter or a proxy in front."`
}

// The limits of a client, so that a slow client occupies no connection for long.
const (
	headerLimit = 5 * time.Second
	replyLimit  = 30 * time.Second
)

// Run serves metrics over HTTP until ctx ends.
func (c serveCommand) Run(ctx context.Context, sys system) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(sys.stdout, "lvsctl: http://%s/metrics\n", listener.Addr())
	server := &http.Server{Handler: pages(sys), ReadHeaderTimeout: headerLimit, ReadTimeout: headerLimit, WriteTimeout: replyLimit, MaxHeaderBytes: 1 << 14}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// pages returns the handler of all pages.
func pages(sys system) http.Handler {
	source := metrics.Source{
		IDs: func() ([]string, error) { return control.IDs(sys.stateDir) },
		Status: func(ctx context.Context, id string) (control.Snapshot, error) {
			return control.Status(ctx, sys.stateDir, id)
		},
		Proc: "/proc",
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", source.Handler())
	return mux
}
