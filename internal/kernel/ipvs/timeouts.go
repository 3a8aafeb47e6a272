package ipvs

import (
	"context"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"

	knetlink "lvs-agents/internal/kernel/netlink"
	"lvs-agents/internal/lvs"
)

// Commands and attributes of the timeouts (include/uapi/linux/ip_vs.h).
const (
	setConfig = 12
	getConfig = 13

	attrTimeout = 4 // The attributes of the other timeouts follow.
)

// Timeouts returns the timeouts of connections. It returns the same errors as Table.
func (k *Kernel) Timeouts(ctx context.Context) (t lvs.Timeouts, err error) {
	err = k.locked(ctx, func() error {
		bad := knetlink.ErrMalformed
		err := k.socket.Query(ctx, message(k.family, getConfig), func(body []byte) {
			t, bad = decodeTimeouts(body[min(genlHeader, len(body)):])
		})
		if err != nil {
			return err
		}
		return bad
	})
	if err != nil {
		return t, fmt.Errorf("ipvsadm -L --timeout: %w", translate(lvs.Op{}, err))
	}
	return t, nil
}

// SetTimeouts changes the timeouts that are not zero. It returns the same errors as Table.
func (k *Kernel) SetTimeouts(ctx context.Context, t lvs.Timeouts) error {
	var attrs []byte
	for i, d := range t {
		attrs = knetlink.AppendAttribute(attrs, attrTimeout+i, nl.Uint32Attr(uint32(d/time.Second)))
	}
	err := k.locked(ctx, func() error {
		_, err := k.socket.Execute(ctx, message(k.family, setConfig, attrs))
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", t, translate(lvs.Op{}, err))
	}
	return nil
}

func decodeTimeouts(data []byte) (t lvs.Timeouts, err error) {
	a, err := knetlink.Parse(data)
	for i := range t {
		t[i] = time.Duration(a.Uint32(attrTimeout+i)) * time.Second
	}
	return t, err
}
