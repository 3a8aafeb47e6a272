package resync

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"

	"lvs-agents/internal/connection"
)

// Table reads the connection table of this network namespace.
type Table struct{}

// file is the connection table of the network namespace of the calling thread.
const file = "/proc/thread-self/net/ip_vs_conn"

// Connections calls the function each for every entry of the connection table. The argument here
// reports whether this host has the virtual address of the entry on an interface to other hosts:
// this director serves the connection then. Connections returns the number of lines in an unknown
// format. It stops when ctx ends, or at the first error of the function each. Without IPVS, the
// error is host.ErrNotInstalled.
//
// The kernel counts entries to find its place after each page of text. So an entry can be missing
// or appear twice if other entries come or go during the reading.
func (Table) Connections(ctx context.Context, each func(c connection.Connection, here bool) error) (damaged int, err error) {
	own, err := addresses()
	if err != nil {
		return 0, err
	}
	entries, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, notIPVS()
	}
	if err != nil {
		return 0, err
	}
	defer entries.Close()
	return connection.Read(reader{ctx, entries}, func(c connection.Connection) error {
		return each(c, c.Protocol != 0 && own[c.Virtual.Addr()])
	})
}

// reader is an io.Reader whose Read returns an error after its context has ended.
type reader struct {
	ctx  context.Context //nolint:containedctx // io.Reader has no other place for it
	from io.Reader
}

// Read reads from the field from. After the end of the context, it returns the error of the
// context.
func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// addresses returns the addresses of this host on interfaces to other hosts. A real server has its
// virtual addresses on lo or tunl0, and does not serve the connections of clients as a director.
func addresses() (map[netip.Addr]bool, error) {
	nics, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	own := map[netip.Addr]bool{}
	for _, nic := range nics {
		// tunl0 and ip6tnl0 have neither flag, because they have no fixed peer.
		if nic.Flags&net.FlagLoopback != 0 || nic.Flags&(net.FlagBroadcast|net.FlagPointToPoint) == 0 {
			continue
		}
		list, err := nic.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range list {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				own[prefix.Addr().Unmap()] = true
			}
		}
	}
	return own, nil
}
