package record

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
)

func table(t *testing.T, text string) lvs.Table {
	t.Helper()
	parsed, err := lvs.ParseTable(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// has returns a fake kernel with the IPVS table of a text.
func has(t *testing.T, text string) *kerneltest.IPVS {
	t.Helper()
	kernel, want := kerneltest.NewIPVS(), table(t, text)
	if _, err := kernel.Apply(t.Context(), lvs.Plan(want, nil, lvs.ScopeOf(want))); err != nil {
		t.Fatal(err)
	}
	return kernel
}

// claimed saves two records: a daemon's own record with a service, and the record of a resource
// with a claim.
func claimed(t *testing.T) Store {
	t.Helper()
	s := open(t, t.TempDir())
	for id, text := range map[string]string{OwnID("health"): ownService, "web": webService} {
		r := Record{ID: id, State: Running, Services: table(t, text), Holder: "health",
			Withheld: []string{"-t 192.0.2.10:80 -r 192.0.2.21:80"}}
		r.Claimed = r.Services.IDs()
		if err := s.Save(r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestEndOfAClaim checks that Release removes the daemon's own services. A service of a resource
// stays as it is while a destination gets connections. Otherwise, Release gives it back to the
// resource.
func TestEndOfAClaim(t *testing.T) {
	quiet := strings.NewReplacer("-w 1", "-w 0", "-w 2", "-w 0").Replace(webService)
	half := strings.Replace(webService, "-w 1", "-w 0", 1)
	for _, tt := range []struct{ name, have, want, holder string }{
		{"all get connections", ownService + webService, webService, "health"},
		{"one gets connections", ownService + half, half, "health"},
		{"none gets connections", ownService + quiet, webService, ""},
		{"the own service is gone", quiet, webService, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, kernel := claimed(t), has(t, tt.have)
			for range 2 {
				if _, err := s.Release(t.Context(), kernel, "health"); err != nil || kernel.String() != tt.want {
					t.Errorf("%v; the kernel has\n%s", err, kernel)
				}
			}
			r, err := s.Load("web")
			if err != nil || r.Holder != tt.holder || (len(r.Withheld) == 0) != (tt.holder == "") {
				t.Errorf("%+v, %v", r, err)
			}
			if _, err := s.Load(OwnID("health")); err == nil {
				t.Error("the own record is left")
			}
		})
	}
}

func TestEndOfAClaimKeepsServices(t *testing.T) {
	s, kernel := claimed(t), has(t, ownService+webService)
	if _, err := s.Release(t.Context(), kernel, "health", table(t, ownService).IDs()...); err != nil || kernel.String() != ownService+webService {
		t.Errorf("%v; the kernel has\n%s", err, kernel)
	}
}

// TestEndOfADamagedClaim checks that Release of a damaged own record fails if the kernel has a
// service that no record claims, and succeeds otherwise.
func TestEndOfADamagedClaim(t *testing.T) {
	for _, tt := range []struct{ name, have, want string }{
		{"an unknown service", webService + mailService, "; the record may contain -t [2001:db8::10]:25; ipvsadm -D the services that this daemon added, then remove the file"},
		{"no other service", webService, ""},
	} {
		s, kernel := claimed(t), has(t, tt.have)
		if err := state.Write(s.Path(OwnID("health")), "x\n"); err != nil {
			t.Fatal(err)
		}
		_, err := s.Release(t.Context(), kernel, "health")
		if got := strings.TrimPrefix(errorText(err), s.Path(OwnID("health"))+": "); !strings.Contains(got, tt.want) || (tt.want == "") != (err == nil) || kernel.String() != tt.have {
			t.Errorf("%s: %v; the kernel has\n%s", tt.name, err, kernel)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestOwnersOfRecords(t *testing.T) {
	if got := Owner(OwnID("a")) + ", " + Owner("a"); got != "health daemon a, resource a" {
		t.Errorf("got %s", got)
	}
	if holder, own := HolderOf(OwnID("a")); holder != "a" || !own {
		t.Errorf("got %q, %t", holder, own)
	}
}

func TestConverge(t *testing.T) {
	want := table(t, webService)
	plan := func(k Kernel) func(context.Context) ([]lvs.Op, error) {
		return func(ctx context.Context) ([]lvs.Op, error) {
			have, err := k.Table(ctx)
			return lvs.Plan(want, have, lvs.ScopeOf(want)), err
		}
	}
	kernel := kerneltest.NewIPVS()
	kernel.FailAfter(1, syscall.EEXIST) // EEXIST: another program has already added the same entry.
	applied, err := Converge(t.Context(), kernel, plan(kernel))
	if err != nil || len(applied) != 2 || kernel.String() != webService {
		t.Errorf("%v, %v; the kernel has\n%s", applied, err, kernel)
	}
	kernel = kerneltest.NewIPVS()
	kernel.FailAfter(1, syscall.ENOMEM)
	applied, err = Converge(t.Context(), kernel, plan(kernel))
	if !errors.Is(err, syscall.ENOMEM) || len(applied) != 1 {
		t.Errorf("%v, %v", applied, err)
	}
	forgets := forgetful{kerneltest.NewIPVS(), nil}
	if _, err := Converge(t.Context(), forgets, plan(forgets)); err == nil || err.Error() != "another program keeps changing the IPVS table; stop that program" {
		t.Errorf("got %v", err)
	}
	raced := forgetful{kerneltest.NewIPVS(), syscall.ENOENT}
	_, err = Converge(t.Context(), raced, plan(raced))
	if _, unsettled := errors.AsType[*Unsettled](err); !unsettled || err.Error() != "another program keeps changing the IPVS table; stop that program: no such file or directory" {
		t.Errorf("got %v", err)
	}
}

// forgetful is a fake kernel that does not apply operations. It returns err, or nil as if it had
// applied them.
type forgetful struct {
	Kernel

	err error
}

func (f forgetful) Apply(_ context.Context, ops []lvs.Op) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return len(ops), nil
}
