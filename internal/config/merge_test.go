package config

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/lvs"
)

func TestMergeOfTwoDirectorsFiles(t *testing.T) {
	yes, no := true, false
	vip := func(n byte) VirtualAddress { return VirtualAddress{IP: netip.AddrFrom4([4]byte{192, 0, 2, n})} }
	service := func(port uint16, scheduler lvs.Scheduler, line int) Service {
		return Service{Line: line, Service: lvs.Service{ID: lvs.AddrService(lvs.TCP, netip.AddrPortFrom(vip(10).IP, port)), Scheduler: scheduler}}
	}
	one := &Config{File: "one", SloppyTCP: &yes, Services: []Service{service(80, "rr", 1), service(81, "rr", 2)}, Cluster: &Cluster{
		Nodes: []Node{{Name: "director1"}},
		Groups: []Group{{
			Name: "web", Addresses: []VirtualAddress{vip(10)}, Preferences: []Preference{{"director1", 150}},
		}},
		Notices:  []Notice{{To: []string{"a@example.org"}, Line: 3}},
		Messages: &Messages{DeadTime: time.Second, Addresses: []netip.Addr{vip(2).IP}},
	}}
	two := &Config{File: "two", SloppyTCP: &no, ConnReuseMode: "1", Services: []Service{service(80, "rr", 7), service(81, "wrr", 8), service(82, "rr", 9)}, Cluster: &Cluster{
		Nodes: []Node{{Name: "director1"}, {Name: "director2"}},
		Groups: []Group{
			{Name: "web", Addresses: []VirtualAddress{vip(10), vip(11)}, Preferences: []Preference{{"director2", 100}}, Stays: true},
			{Name: "mail", Addresses: []VirtualAddress{vip(12)}},
		},
		Stays: true, Sync: &Sync{}, Files: []ServiceFile{{Path: "/etc/ha.d/web.cf", Resource: "ldirectord::web.cf", Line: 2}}, Notices: []Notice{{To: []string{"a@example.org"}, Line: 5}},
		Messages: &Messages{DeadTime: time.Minute, Addresses: []netip.Addr{vip(2).IP, vip(3).IP}, Signed: true},
	}}
	got, problems := Merge(one, two)
	if file, line := got.origin(got.Services[2].Line); file != "two" || line != 9 || got.FileOf("ConnReuseMode") != "two" || got.FileOf("SloppyTCP") != "one" {
		t.Errorf("service of %s:%d, %+v", file, line, got.Parts)
	}
	got = WithLines(got, func(line int) int { return line % linesOfFile })
	got.Parts = nil
	want := &Config{File: "one", SloppyTCP: &yes, ConnReuseMode: "1", Services: []Service{service(80, "rr", 1), service(81, "rr", 2), service(82, "rr", 9)}, Cluster: &Cluster{
		Nodes: []Node{{Name: "director1"}, {Name: "director2"}},
		Groups: []Group{
			{Name: "web", Addresses: []VirtualAddress{vip(10), vip(11)}, Preferences: []Preference{{"director1", 150}, {"director2", 100}}, Stays: true},
			{Name: "mail", Addresses: []VirtualAddress{vip(12)}},
		},
		Stays: true, Sync: &Sync{}, Files: []ServiceFile{{Path: "/etc/ha.d/web.cf", Resource: "ldirectord::web.cf", Line: 2}}, Notices: []Notice{{To: []string{"a@example.org"}, Line: 3}},
		Messages: &Messages{DeadTime: time.Second, Addresses: []netip.Addr{vip(2).IP, vip(3).IP}, Signed: true},
	}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(problems) != 2 || problems[1].String() != "two:8: -t 192.0.2.10:81 is in one too, with other settings, which count; delete one of them" {
		t.Errorf("%v", problems)
	}
	if len(one.Services) != 2 || two.Services[2].Line != 9 || two.Cluster.Notices[0].Line != 5 || len(one.Cluster.Groups[0].Addresses) != 1 {
		t.Errorf("Merge has changed its argument: %+v", one)
	}
}
