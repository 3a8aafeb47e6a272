package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/metrics"
	"lvs-agents/internal/page"
)

type serveCommand struct {
	Listen []string `sep:"none" placeholder:"ADDRESS" default:"127.0.0.1:9946" help:"Address and port where to listen, or the absolute path of a unix socket. It can be given several times. The pages have no password, so an address that others can reach needs a packet filter or a proxy in front. The group of the service's user can connect to a unix socket."`
}

// The limits of a client, so that a slow client occupies no connection for long.
const (
	headerLimit = 5 * time.Second
	replyLimit  = 30 * time.Second
)

// patience is how long a daemon can take to reply before a view shows the other daemons.
const patience = 800 * time.Millisecond

// Run serves the status page and the metrics over HTTP until ctx ends.
func (c serveCommand) Run(ctx context.Context, sys system) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	listeners, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	for _, listener := range listeners {
		fmt.Fprintf(sys.stdout, "lvsctl: listening on %s\n", place(listener))
	}
	status := statusPage(sys, host)
	ctx, cancel := context.WithCancel(ctx)
	var recorder sync.WaitGroup
	defer recorder.Wait()
	defer cancel()
	recorder.Go(func() { status.Run(ctx) })
	return serveAll(ctx, listeners, pages(sys, status))
}

// serveAll serves pages on all listeners until ctx ends or one of the listeners fails.
func serveAll(ctx context.Context, listeners []net.Listener, pages http.Handler) error {
	server := &http.Server{Handler: pages, ReadHeaderTimeout: headerLimit, ReadTimeout: headerLimit, WriteTimeout: replyLimit, MaxHeaderBytes: 1 << 14}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	ended := make(chan error, len(listeners))
	for _, listener := range listeners {
		go func() {
			ended <- server.Serve(listener)
			_ = server.Close() // The other listeners end too.
		}()
	}
	var failures []error
	for range listeners {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// listen listens on every place, or on none of them.
func listen(ctx context.Context, places []string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, place := range places {
		listener, err := listenOn(ctx, place)
		if err != nil {
			for _, each := range listeners {
				_ = each.Close()
			}
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

// listenOn listens on an address, or makes a unix socket that the group of this process can use.
func listenOn(ctx context.Context, place string) (net.Listener, error) {
	if !filepath.IsAbs(place) {
		return new(net.ListenConfig).Listen(ctx, "tcp", place)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", place)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w; remove the file if no process listens there", err)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(place, 0o660); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// place returns the URL or the path of a listener.
func place(listener net.Listener) string {
	if listener.Addr().Network() == "unix" {
		return listener.Addr().String()
	}
	return "http://" + listener.Addr().String() + "/"
}

// pages returns the handler of all pages.
func pages(sys system, status *page.Page) http.Handler {
	// The unit of lvsctl serve hides everything in /proc except processes.
	source := metrics.Source{States: states(sys), Summaries: summaries(sys), Proc: "/proc/self"}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", source.Handler())
	mux.Handle("GET /", status.Handler())
	return mux
}

// states returns a function that reads the states of all daemons.
func states(sys system) func(context.Context) ([]control.State, error) {
	return func(ctx context.Context) ([]control.State, error) {
		return control.States(ctx, sys.stateDir, patience)
	}
}

// summaries returns a function that reads the states of all daemons without their real servers.
func summaries(sys system) func(context.Context) ([]control.State, error) {
	return func(ctx context.Context) ([]control.State, error) {
		return control.Summaries(ctx, sys.stateDir, patience)
	}
}

// statusPage returns the status page of this host.
func statusPage(sys system, host string) *page.Page {
	return page.New(page.Source{
		Host: host, States: states(sys), Attributes: sys.attributes.All, Addresses: hostAddresses, Now: sys.now,
		Events: func(ctx context.Context, id string, each func(control.Event) error) error {
			return control.Events(ctx, sys.stateDir, id, control.Watch{Each: each, Begun: func() { kept(sys, id, each) }})
		},
	})
}

// kept calls each for the events that a daemon has kept. The page works without them.
func kept(sys system, id string, each func(control.Event) error) {
	past, err := control.Past(sys.stateDir, id, control.Filter{})
	if err != nil {
		failed(sys, err)
	}
	for _, e := range past {
		_ = each(e) // The page accepts every event.
	}
}

// hostAddresses returns the addresses of this host without the loopback interface. A director that
// is also a real server has the virtual addresses on that interface.
func hostAddresses() ([]netip.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []netip.Addr
	for _, each := range interfaces {
		if each.Flags&net.FlagLoopback != 0 {
			continue
		}
		list, err := each.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range list {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				all = append(all, prefix.Addr())
			}
		}
	}
	return all, nil
}
