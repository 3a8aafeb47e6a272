package params

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/lvs"
)

// names has the names of all directives that Checks may have.
func names() map[string]bool {
	all := map[string]bool{}
	for _, d := range Directives() {
		all[d.Name] = true
	}
	return all
}

// TestChecksAreWhatAFileSays checks that the example of every directive has the same effect in
// parameters as in a file: the same checks, the same quiescent and as many fallbacks.
func TestChecksAreWhatAFileSays(t *testing.T) {
	if len(Directives()) < 10 {
		t.Errorf("only %d directives", len(Directives()))
	}
	for _, d := range Directives() {
		t.Run(d.Name, func(t *testing.T) {
			fromFile, problems := ldirectord.Parse("web.cf", []byte(d.Example))
			if fromFile == nil {
				t.Fatal(problems)
			}
			want := fromFile.Services[0]
			table := lvs.Table{{Service: want.Service}}
			for _, r := range want.Reals {
				table[0].Destinations = append(table[0].Destinations, r.Destination)
			}
			checks, known := Checks{}, names()
			for line := range strings.Lines(d.Example) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				if known[name] {
					checks[name] = strings.Trim(value, `"`)
				}
			}
			if checks[d.Name] == "" {
				t.Fatalf("no value in %s", d.Example)
			}
			got, err := WithChecks("resource web", table, checks)
			if err != nil {
				t.Fatal(err)
			}
			addr := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
			if diff := cmp.Diff(want.Reals[0].Checks, got.Services[0].Reals[0].Checks, cmp.AllowUnexported(config.Secret{}), addr); diff != "" {
				t.Errorf("check (-file +parameters):\n%s", diff)
			}
			if want.Quiescent != got.Services[0].Quiescent || len(want.Fallbacks) != len(got.Services[0].Fallbacks) {
				t.Errorf("got %+v, want %+v", got.Services[0], want)
			}
		})
	}
}

func TestChecksThatParametersCannotHave(t *testing.T) {
	for _, tt := range []struct {
		name   string
		checks Checks
		want   string // want is the expected error. Empty means none.
	}{
		{"nothing", nil, ""},
		{"a directive of files", Checks{"autoreload": "yes"}, "autoreload cannot be given without a file"},
		{"a password", Checks{"passwd": "example"}, "passwd cannot be given without a file"},
		{"pattern", Checks{"receive": "("}, "receive \"(\": no closing parenthesis at character 1"},
		{"Perl's patterns", Checks{"receive": `(?!no)(a)\1b++(?<=c)`}, ""},
		{"look-behind", Checks{"receive": `(?<=a)b`}, ""},
		{"login", Checks{"checktype": "negotiate", "service": "radius"}, "service=radius needs a user and a password, which parameters cannot have; write it into a file with login and passwd, and use config=FILE"},
		{"login that is not used", Checks{"checktype": "connect", "service": "radius"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := tt.checks.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	_, err := WithChecks("resource db", lvs.Table{{Service: lvs.Service{ID: lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.MustParseAddrPort("192.0.2.10:3306")}}}}, Checks{"checktype": "negotiate"})
	const want = "virtual service -t 192.0.2.10:3306: service=mysql needs a user and a password, which parameters cannot have; write it into a file with login and passwd, and use config=FILE"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestFallbackOfBothFamilies checks that the address of a fallback serves only its own family. The
// name of a fallback serves both families.
func TestFallbackOfBothFamilies(t *testing.T) {
	table, err := lvs.ParseTable("-A -t 192.0.2.10:80 -s rr\n-A -t [2001:db8::10]:80 -s rr\n")
	if err != nil {
		t.Fatal(err)
	}
	for fallback, want := range map[string][2]bool{"127.0.0.1": {true, false}, "[::1]": {false, true}, "sorry": {true, true}} {
		c, err := WithChecks("resource web", table, Checks{"fallback": fallback})
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{c.Services[0].Fallbacks != nil, c.Services[1].Fallbacks != nil}; got != want {
			t.Errorf("%s: %v, want %v", fallback, got, want)
		}
	}
}
