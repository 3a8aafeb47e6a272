package directord

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"lvs-agents/internal/health"
)

// addressPeriod is the time between two reads of the addresses of this host.
const addressPeriod = time.Second

// addresses reports which virtual services this host has the address of. An operator sees from the
// events when a service moved to this host, and when it left.
type addresses struct {
	setup    atomic.Pointer[health.Setup] // setup is nil before the first configuration.
	occurred func(health.Event)
	has      func() (map[netip.Addr]bool, error) // has returns the addresses of this host.
	place    func(netip.Addr) string
	here     map[netip.Addr]bool // here has the virtual addresses that this host had at the last read.
}

// run calls look every addressPeriod until ctx ends.
func (a *addresses) run(ctx context.Context) {
	ticker := time.NewTicker(addressPeriod)
	defer ticker.Stop()
	for {
		a.look()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look reports the services whose address came or left since the last call. A service of a new
// configuration is reported only if its address is here.
func (a *addresses) look() {
	setup := a.setup.Load()
	if setup == nil {
		return
	}
	has, err := a.has()
	if err != nil {
		return // The next call reports the change.
	}
	here, places := map[netip.Addr]bool{}, map[netip.Addr]string{}
	for i, service := range setup.Services {
		if service.ID.IsMark() {
			continue
		}
		addr := service.ID.Addr.Addr()
		if here[addr] = has[addr]; has[addr] == a.here[addr] {
			continue
		}
		e := health.Event{Kind: health.AddressGone, Time: time.Now(), Service: &setup.Services[i], Reason: addr.String() + " is on no interface of this host"}
		if has[addr] {
			if places[addr] == "" {
				places[addr] = a.place(addr)
			}
			e.Kind, e.Reason = health.AddressHere, addr.String()+" is on "+places[addr]
		}
		a.occurred(e)
	}
	a.here = here
}

// hostAddresses returns the addresses of this host.
func hostAddresses() (map[netip.Addr]bool, error) {
	addrs, err := net.InterfaceAddrs()
	has := map[netip.Addr]bool{}
	for _, addr := range addrs {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
			has[prefix.Addr()] = true
		}
	}
	return has, err
}

// placeOf returns the name of an interface that has the address, or an empty text.
func placeOf(addr netip.Addr) string {
	nics, _ := net.Interfaces()
	for _, nic := range nics {
		addrs, _ := nic.Addrs()
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr() == addr {
				return nic.Name
			}
		}
	}
	return ""
}
