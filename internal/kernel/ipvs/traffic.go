package ipvs

import (
	"cmp"
	"context"
	"fmt"

	knetlink "lvs-agents/internal/kernel/netlink"
	"lvs-agents/internal/lvs"
)

// Traffic returns the packets of the masq servers of all TCP services. The counters are up to 2 s
// old.
func (k *Kernel) Traffic(ctx context.Context) ([]lvs.Traffic, error) {
	if err := k.acquire(ctx); err != nil {
		return nil, fmt.Errorf("ipvsadm -Ln --stats: %w", err)
	}
	defer k.release()
	var all []lvs.Traffic
	err := k.retryReloaded(ctx, func() error {
		all = nil
		table, err := k.table(ctx)
		for _, v := range table {
			if err == nil && v.ID.Protocol == lvs.TCP {
				err = k.traffic(ctx, v.ID, &all)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ipvsadm -Ln --stats: %w", translate(lvs.Op{}, err))
	}
	return all, nil
}

// traffic appends the packets of the masq servers of a service.
func (k *Kernel) traffic(ctx context.Context, id lvs.ServiceID, all *[]lvs.Traffic) error {
	before := len(*all)
	return k.dump(ctx, getDestination, encodeID(id), func(attrs []byte) error {
		d, err := decodeDestination(attrs, id.Is6())
		if err != nil || d.Forward != lvs.Masq {
			return err
		}
		t := lvs.Traffic{Service: id, Server: d.Addr}
		t.In, t.Out, err = decodeStats(attrs)
		*all = append(*all, t)
		return err
	}, func() { *all = (*all)[:before] })
}

// decodeStats reads the counters of a destination.
func decodeStats(data []byte) (in, out uint32, err error) {
	a, err := parseNested(data, attrDestination)
	stats, err2 := knetlink.Parse(a[destinationStats])
	return stats.Uint32(statsInPackets), stats.Uint32(statsOutPackets), cmp.Or(err, err2)
}

// Counters returns the connections and rates of all destinations.
func (k *Kernel) Counters(ctx context.Context) ([]lvs.Counters, error) {
	if err := k.acquire(ctx); err != nil {
		return nil, fmt.Errorf("ipvsadm -Ln --rate: %w", err)
	}
	defer k.release()
	var all []lvs.Counters
	err := k.retryReloaded(ctx, func() error {
		all = nil
		table, err := k.table(ctx)
		for _, v := range table {
			if err == nil {
				err = k.counters(ctx, v.ID, &all)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ipvsadm -Ln --rate: %w", translate(lvs.Op{}, err))
	}
	return all, nil
}

// counters appends the counters of the destinations of a service.
func (k *Kernel) counters(ctx context.Context, id lvs.ServiceID, all *[]lvs.Counters) error {
	before := len(*all)
	return k.dump(ctx, getDestination, encodeID(id), func(attrs []byte) error {
		c, err := decodeCounters(attrs, id)
		*all = append(*all, c)
		return err
	}, func() { *all = (*all)[:before] })
}

func decodeCounters(data []byte, id lvs.ServiceID) (lvs.Counters, error) {
	d, err := decodeDestination(data, id.Is6())
	a, err2 := parseNested(data, attrDestination)
	stats, err3 := knetlink.Parse(a[destinationStats])
	return lvs.Counters{
		Service: id, Server: d.Addr, Active: a.Uint32(destinationActive), Inactive: a.Uint32(destinationInactive),
		ConnRate: stats.Uint32(statsConnRate), InRate: stats.Uint32(statsInRate), OutRate: stats.Uint32(statsOutRate),
	}, cmp.Or(err, err2, err3)
}
