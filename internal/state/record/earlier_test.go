package record

import (
	"slices"
	"testing"

	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/statetest"
)

const (
	webService  = "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2\n"
	ownService  = "-A -t 192.0.2.9:25 -s wrr\n-a -t 192.0.2.9:25 -r 192.0.2.23:25 -m -w 1\n"
	mailService = "-A -t [2001:db8::10]:25 -s wrr -p 600\n-a -t [2001:db8::10]:25 -r [2001:db8::21]:25 -g -w 1\n"
)

// TestRecordsOfEarlierVersions checks that Load reads the records of earlier versions completely,
// and that Release works with them.
func TestRecordsOfEarlierVersions(t *testing.T) {
	for _, version := range statetest.Versions {
		t.Run(version, func(t *testing.T) {
			s := open(t, statetest.Earlier(t, version))
			for id, want := range map[string]string{"web": webService, "mail:0": mailService, OwnID("web-health"): ownService} {
				r, err := s.Load(id)
				if err != nil || r.ID != id || r.State != Running || r.Generation != 1 || r.Services.String() != want {
					t.Errorf("%s: %+v, %v", id, r, err)
				}
				if claimed := r.Holder == "web-health" && slices.Equal(r.Claimed, r.Services.IDs()); claimed != (id != "mail:0") {
					t.Errorf("%s: claimed %q by %q", id, r.Claimed, r.Holder)
				}
			}
			if others, damaged, err := s.Others("web"); err != nil || len(others) != 2 || len(damaged) > 0 || len(s.Copies()) > 0 {
				t.Errorf("%v, %q, %v, %q", others, damaged, err, s.Copies())
			}
			kernel := kerneltest.NewIPVS()
			table, err := lvs.ParseTable(ownService + webService + mailService)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := kernel.Apply(t.Context(), lvs.Plan(table, nil, lvs.ScopeOf(table))); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Release(t.Context(), kernel, "web-health"); err != nil || kernel.String() != webService+mailService {
				t.Errorf("%v; the kernel has\n%s", err, kernel)
			}
		})
	}
}
