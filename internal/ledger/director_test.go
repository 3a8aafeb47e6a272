package ledger

import (
	"context"
	"strings"
	"testing"

	"lvs-agents/internal/host"
)

const (
	threshold = "sysctl name=net/ipv4/vs/sync_threshold"
	master    = "sync name=master"
	options   = "--mcast-interface eth1 --syncid 7"
)

// director returns a resource of a director. want has the settings that the resource needs.
func (n node) director(id string, want ...Wanted) *Resource {
	r := n.resource(id)
	r.Role = Director
	r.Want = func(context.Context) ([]Wanted, error) { return want, nil }
	return r
}

func newDirector(t *testing.T) node {
	n := newNode(t)
	n.kernel.Put(setting(threshold), "3 50")
	return n
}

func (n node) refuses(err error, want string) {
	n.Helper()
	if err == nil || err.Error() != want {
		n.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestRolesHaveSeparateLedgers checks that a resource of a director is not in the ledger of the
// real server. Earlier versions of realserver and of lvsctl doctor read that ledger.
func TestRolesHaveSeparateLedgers(t *testing.T) {
	n := newDirector(t)
	before := n.kernel.String()
	sync := n.director("sync", Wanted{setting(threshold), "0 0"}, Wanted{setting(master), options})
	n.must(n.resource("web").Apply(t.Context()))
	n.must(sync.Apply(t.Context()))
	if l, err := n.file().Load(); err != nil || len(l.Holders) != 1 || l.Holders[0].ID != "web" {
		t.Errorf("%+v, %v", l, err)
	}
	n.must(n.resource("web").Release(t.Context()))
	if r, err := sync.Check(t.Context()); err != nil || r.Gone || r.Fault != "" {
		t.Errorf("%+v, %v", r, err)
	}
	n.must(sync.Release(t.Context()))
	n.has(before)
}

// TestValuesThatChange checks a second Apply with other values. Release must then put back the
// values from before the first Apply.
func TestValuesThatChange(t *testing.T) {
	n := newDirector(t)
	before := n.kernel.String()
	first := []Wanted{{setting(threshold), "0 0"}, {setting(master), options}}
	second := []Wanted{{setting(threshold), "1 5"}, {setting(master), "--mcast-interface eth2 --syncid 7"}}
	n.must(n.director("sync", first...).Apply(t.Context()))
	n.must(n.director("sync", second...).Apply(t.Context()))
	n.has(master + " --mcast-interface eth2 --syncid 7\n" + strings.Replace(before, "sync_threshold 3 50", "sync_threshold 1 5", 1))
	n.must(n.director("sync", second...).Release(t.Context()))
	n.has(before)
}

// TestKilledWhileValuesChange checks that Apply with other values can be killed before or after
// each operation on the kernel. Release must then put back the values from before the first Apply.
func TestKilledWhileValuesChange(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := 0; ; at++ {
			n := newDirector(t)
			before := n.kernel.String()
			n.must(n.director("sync", Wanted{setting(threshold), "0 0"}, Wanted{setting(master), options}).Apply(t.Context()))
			second := n.director("sync", Wanted{setting(threshold), "1 5"}, Wanted{setting(master), "--mcast-interface eth2 --syncid 7"})
			died := n.killedIn(second, at, after, (*Resource).Apply)
			n.must(n.director("sync").Release(t.Context()))
			n.has(before)
			if !died {
				if at < 6 {
					t.Errorf("only %d operations", at)
				}
				break
			}
		}
	}
}

func TestValuesThatContradict(t *testing.T) {
	n := newDirector(t)
	n.must(n.director("a", Wanted{setting(threshold), "0 0"}).Apply(t.Context()))
	before := n.kernel.String()
	n.must(n.director("b", Wanted{setting(threshold), "0 0"}).Apply(t.Context()))
	n.refuses(n.director("c", Wanted{setting(threshold), "3 50"}).Apply(t.Context()),
		`sysctl name=net/ipv4/vs/sync_threshold is 0 0 for resource "a", and this resource needs 3 50; give both resources the same value`)
	n.has(before)
}

func TestOnlyOneResourceHasASyncDaemon(t *testing.T) {
	n := newDirector(t)
	n.must(n.director("a", Wanted{setting(master), options}).Apply(t.Context()))
	before := n.kernel.String()
	n.refuses(n.director("b", Wanted{setting(threshold), "0 0"}, Wanted{setting(master), options}).Apply(t.Context()),
		`the master synchronisation daemon belongs to resource "a", and a network namespace has only one; stop that resource, with its agent if the cluster no longer has it`)
	n.has(before)
}

// TestSyncDaemonsOfOtherPrograms checks that Apply and Release neither replace nor stop a
// synchronisation daemon that no resource has started.
func TestSyncDaemonsOfOtherPrograms(t *testing.T) {
	n := newDirector(t)
	n.kernel.Put(setting(master), "--mcast-interface eth0 --syncid 1 --sync-maxlen 1472")
	before := n.kernel.String()
	sync := n.director("sync", Wanted{setting(master), options})
	n.refuses(sync.Apply(t.Context()),
		"the master synchronisation daemon is --mcast-interface eth0 --syncid 1 --sync-maxlen 1472 already, and no resource has started it; ipvsadm --stop-daemon master")
	n.must(sync.Release(t.Context()))
	n.has(before)

	// Apply uses a daemon with these options, and Release leaves it.
	n.kernel.Put(setting(master), options+" --sync-maxlen 1472")
	before = n.kernel.String()
	n.must(sync.Apply(t.Context()))
	n.must(sync.Release(t.Context()))
	n.has(before)

	n.kernel.Put(setting(master), host.Off)
	n.must(sync.Apply(t.Context()))
	// As another program would, the test replaces the daemon of the resource.
	n.kernel.Put(setting(master), "--mcast-interface eth0 --syncid 1")
	before = n.kernel.String()
	r, err := sync.Check(t.Context())
	const fault = "the master synchronisation daemon is --mcast-interface eth0 --syncid 1 and not --mcast-interface eth1 --syncid 7; " +
		"ipvsadm --stop-daemon master && ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7"
	if err != nil || r.Fault != fault {
		t.Errorf("%+v, %v", r, err)
	}
	n.must(sync.Release(t.Context()))
	n.has(before)
}
