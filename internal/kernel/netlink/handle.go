package netlink

import (
	"context"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Handle opens a socket of vishvananda/netlink. When it opens the socket, it computes the time that
// is left until the deadline of ctx, or a minute without a deadline. Each send and each receive on
// the socket times out after this time. This project changes addresses, links and routes with that
// library, because the library has the messages for these changes.
func Handle(ctx context.Context) (*netlink.Handle, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	left := time.Minute
	if deadline, limited := ctx.Deadline(); limited {
		left = max(time.Until(deadline), time.Microsecond)
	}
	if err := h.SetSocketTimeout(left); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// With opens a Handle, runs f with it and closes it.
func With(ctx context.Context, f func(*netlink.Handle) error) error {
	h, err := Handle(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	return f(h)
}
