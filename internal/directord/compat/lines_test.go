package compat

import (
	"net/netip"
	"testing"

	"lvs-agents/internal/config"
	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

func TestLines(t *testing.T) {
	real, sorry := netip.MustParseAddrPort("192.0.2.21:80"), netip.MustParseAddrPort("127.0.0.1:80")
	web := &health.Service{
		Service:   lvs.Service{ID: lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.MustParseAddrPort("192.0.2.10:80")}},
		Fallbacks: []lvs.Destination{{Addr: sorry}},
	}
	mark := &health.Service{Service: lvs.Service{ID: lvs.ServiceID{Mark: 7}}}
	mark6 := &health.Service{Service: lvs.Service{ID: lvs.ServiceID{Mark: 7, IPv6: true}}}
	op := func(verb lvs.Verb) lvs.Op { return lvs.Op{Verb: verb} }
	for _, tt := range []struct {
		e    health.Event
		want string
	}{
		{health.Event{Kind: health.ServiceAdded, Service: web, Op: op(lvs.AddService)}, "Added virtual server: 192.0.2.10:80"},
		{health.Event{Kind: health.ServiceChanged, Service: mark, Op: op(lvs.EditService)}, "Changed virtual server: 7"},
		{health.Event{Kind: health.ServiceRemoved, Service: web, Op: op(lvs.DeleteService)}, "Purged virtual server (start): 192.0.2.10:80"},
		{health.Event{Kind: health.ServiceRemoved, Service: web, Phase: config.Stopping, Op: op(lvs.DeleteService)}, "Purged virtual server (stop): 192.0.2.10:80"},
		{health.Event{Kind: health.ServerUp, Service: web, Server: real, From: -1, To: 3, Op: op(lvs.AddDestination)}, "Added real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 3)"},
		{health.Event{Kind: health.ServerUp, Service: mark, Server: real, From: 0, To: 3, Op: op(lvs.EditDestination)}, "Restored real server: 192.0.2.21:80 (7) (Weight set to 3)"},
		{health.Event{Kind: health.ServerChanged, Service: web, Server: real, From: 1, To: 3, Op: op(lvs.EditDestination)}, "Restored real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 3)"},
		{health.Event{Kind: health.ServerDown, Service: web, Server: real, From: 1, To: 0, Op: op(lvs.EditDestination)}, "Quiescent real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 0)"},
		{health.Event{Kind: health.ServerDown, Service: web, Server: real, From: -1, To: 0, Op: op(lvs.AddDestination)}, "Readd Quiescent real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 0)"},
		{health.Event{Kind: health.ServerDown, Service: web, Server: real, From: 1, To: -1, Op: op(lvs.DeleteDestination)}, "Deleted real server: 192.0.2.21:80 (192.0.2.10:80)"},
		{health.Event{Kind: health.ServerDrained, Service: web, Server: real, From: 1, To: -1, Op: op(lvs.DeleteDestination)}, "Deleted real server: 192.0.2.21:80 (192.0.2.10:80)"},
		{health.Event{Kind: health.ServerRemoved, Service: web, Server: real, From: 1, To: -1, Op: op(lvs.DeleteDestination)}, "Purged real server (start): 192.0.2.21:80 (192.0.2.10:80)"},
		{health.Event{Kind: health.ServerRemoved, Service: web, Phase: config.Stopping, Server: real, Op: op(lvs.DeleteService)}, "Purged real server (stop): 192.0.2.21:80 (192.0.2.10:80)"},
		{health.Event{Kind: health.FallbackIn, Service: web, Server: sorry, From: -1, To: 1, Op: op(lvs.AddDestination)}, "Added fallback server: 127.0.0.1:80 (192.0.2.10:80) (Weight set to 1)"},
		{health.Event{Kind: health.FallbackIn, Service: web, Server: sorry, From: 2, To: 0, Op: op(lvs.EditDestination)}, "Restored fallback server: 127.0.0.1:80 (192.0.2.10:80) (Weight set to 0)"},
		{health.Event{Kind: health.FallbackOut, Service: web, Server: sorry, From: 1, To: -1, Op: op(lvs.DeleteDestination)}, "Deleted fallback server: 127.0.0.1:80 (192.0.2.10:80)"},
		{health.Event{Kind: health.CheckPassed, Service: web, Server: real}, "Resetting soft failure count: 192.0.2.21:80 (tcp:192.0.2.10:80)"},
		{health.Event{Kind: health.CheckFailed, Service: mark, Server: real, Failures: 1, Fall: 3}, "Soft failure real server: 192.0.2.21:80 (fwm:7) failure 1/3"},
		{health.Event{Kind: health.CheckFailed, Service: mark6, Server: real, Failures: 2, Fall: 3}, "Soft failure real server: 192.0.2.21:80 (fwm6:7) failure 2/3"},
		{health.Event{Kind: health.TableRepaired, Service: web, Op: op(lvs.AddService)}, "Added virtual server: 192.0.2.10:80"},
		{health.Event{Kind: health.TableRepaired, Service: web, Op: op(lvs.DeleteService)}, "Purged virtual server (start): 192.0.2.10:80"},
		{health.Event{Kind: health.TableRepaired, Service: web, Server: sorry, To: 1, Op: op(lvs.AddDestination)}, "Added fallback server: 127.0.0.1:80 (192.0.2.10:80) (Weight set to 1)"},
		{health.Event{Kind: health.TableRepaired, Service: web, Server: real, To: -1, Op: op(lvs.DeleteDestination)}, "Deleted real server: 192.0.2.21:80 (192.0.2.10:80)"},
		{health.Event{Kind: health.ServiceEmpty, Service: web}, ""},
		{health.Event{Kind: health.ConfigLoaded}, ""},
	} {
		if got := Line(tt.e); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.e.Kind, got, tt.want)
		}
	}
	const want = "Inaccessible real server: 192.0.2.21:80 (192.0.2.10:80)"
	if got := Reminder(health.Event{Service: web, Server: real}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
