package lvs

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func table(t testing.TB, text string) Table {
	t.Helper()
	parsed, err := ParseTable(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func lines(ops []Op) string {
	var b strings.Builder
	for _, op := range ops {
		fmt.Fprintln(&b, op)
	}
	return b.String()
}

const web = `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`

// kernel returns a table as the kernel would return it.
func kernel(t Table) Table {
	t = slices.Clone(t)
	for i := range t {
		t[i] = t[i].Read()
	}
	return t
}

// hashed returns a service whose destinations were added in this order.
func hashed(scheduler string, octets ...int) string {
	text := "-A -t 192.0.2.10:80 -s " + scheduler + "\n"
	for _, octet := range octets {
		text += fmt.Sprintf("-a -t 192.0.2.10:80 -r 192.0.2.%d:80 -g -w 1\n", octet)
	}
	return text
}

func TestOrderOfATableThatWasNotReadDoesNotCount(t *testing.T) {
	want, have := table(t, hashed("sh", 23, 21, 22)), table(t, hashed("sh", 22, 23))
	ops := Plan(want, have, ScopeOf(want))
	if diff := cmp.Diff("ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n", lines(ops)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if read := kernel(have); len(Plan(want, read.Unordered(ScopeOf(want)), ScopeOf(want))) != 1 || read[0].Order == nil {
		t.Errorf("Unordered: %v", read)
	}
}

func TestHashedDestinationThatBeginsAtZeroKeepsItsSlots(t *testing.T) {
	want := table(t, hashed("mh", 21, 22))
	want[0].Destinations[1].Weight, want[0].Destinations[1].HashWeight = 0, 3
	const ops = `ipvsadm -A -t 192.0.2.10:80 -s mh
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 3
ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 0
`
	if diff := cmp.Diff(ops, lines(Plan(want, nil, ScopeOf(want)))); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	have := Table{want[0]}
	have[0].Destinations = slices.Clone(want[0].Destinations)
	have[0].Destinations[1].HashWeight = 0 // The kernel does not report HashWeight, so the table of the kernel has 0.
	if ops := Plan(want, have, ScopeOf(want)); len(ops) > 0 {
		t.Errorf("second plan:\n%s", lines(ops))
	}
}

func TestLastDestinationComesAfterAllOthers(t *testing.T) {
	want, have := table(t, hashed("mh", 20, 21, 22)), kernel(table(t, hashed("mh", 21, 22)))
	want[0].Destinations[0].Last = true
	ops := Plan(want, have, ScopeOf(want))
	if diff := cmp.Diff("ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.20:80 -g -w 1\n", lines(ops)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestHashedDestinationWithAnotherWeightGetsItsSlots(t *testing.T) {
	want, have := table(t, hashed("mh", 21, 22)), kernel(table(t, strings.Replace(hashed("mh", 21, 22), "-w 1", "-w 9", 1)))
	want[0].Destinations[0].Weight, want[0].Destinations[0].HashWeight = 0, 1
	const ops = `ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0
`
	if diff := cmp.Diff(ops, lines(Plan(want, have, ScopeOf(want)))); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestHashWeightIsOnlyForMh(t *testing.T) {
	for _, text := range []string{web, hashed("sh", 21, 22), hashed("dh", 21, 22)} {
		want := table(t, text)
		want[0].Destinations[0].Weight, want[0].Destinations[0].HashWeight = 0, 3
		for _, have := range []Table{nil, kernel(table(t, text))} {
			if ops := lines(Plan(want, have, ScopeOf(want))); strings.Contains(ops, "-w 3") {
				t.Errorf("plan:\n%s", ops)
			}
		}
	}
}

func TestPlan(t *testing.T) {
	tests := []struct {
		name, want, have, ops string
		scope                 Scope
	}{
		{name: "start on an empty table", want: web, ops: `
ipvsadm -A -t 192.0.2.10:80 -s rr
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`},
		{name: "nothing to do", want: web, have: web, ops: "\n"},
		{name: "destinations in another order", want: web, ops: "\n", have: `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
`},
		{name: "stop", have: web, ops: "\nipvsadm -D -t 192.0.2.10:80\n"},
		{name: "stop leaves a foreign service", have: web + "-A -f 7 -s wlc\n", scope: ScopeOf(table(t, web)),
			ops: "\nipvsadm -D -t 192.0.2.10:80\n"},
		{name: "a foreign service in want is not touched either", want: web, scope: Scope{}, ops: "\n"},
		{name: "services first, more before less, deletion last", want: `
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 5
-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1
-A -u 192.0.2.10:53 -s rr -p 600 -M 255.255.255.0
-a -u 192.0.2.10:53 -r 192.0.2.21:5353 -m -w 1
`, have: `
-A -f 5 -s rr
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.24:80 -g -w 1
`, ops: `
ipvsadm -E -t 192.0.2.10:80 -s wrr
ipvsadm -A -u 192.0.2.10:53 -s rr -p 600 -M 255.255.255.0
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1
ipvsadm -a -u 192.0.2.10:53 -r 192.0.2.21:5353 -m -w 1
ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 5
ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0
ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.24:80
ipvsadm -D -f 5
`},
		{name: "the netmask of a service without persistence is the kernel's", ops: "\n",
			want: "-A -t 192.0.2.10:80 -s rr", have: "-A -t 192.0.2.10:80 -s rr -M 255.255.255.255"},
		{name: "persistence is dropped", want: "-A -f 5 -s rr", have: "-A -f 5 -s rr -p 60",
			ops: "\nipvsadm -E -f 5 -s rr\n"},
		{name: "a scheduler that hashes has its order", want: hashed("mh", 21, 22, 23), have: hashed("mh", 22, 21, 23), ops: `
ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.22:80
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.23:80
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1
`},
		{name: "it is that of the addresses, not of the file", want: hashed("sh", 23, 21, 22), have: hashed("sh", 21, 22, 23), ops: "\n"},
		{name: "a new server goes to its place", want: hashed("mh", 21, 22, 23), have: hashed("mh", 21, 23), ops: `
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.23:80
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1
`},
		{name: "a server that goes leaves the others in place", want: hashed("mh", 21, 23), have: hashed("mh", 21, 22, 23),
			ops: "\nipvsadm -d -t 192.0.2.10:80 -r 192.0.2.22:80\n"},
		{name: "a mark has a family", want: "-A -f 5 -s rr", have: "-A -f 5 -6 -s rr",
			ops: "\nipvsadm -A -f 5 -s rr\nipvsadm -D -f 5 -6\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want, have := table(t, tt.want), kernel(table(t, tt.have))
			scope := tt.scope
			if scope == nil {
				scope = ScopeOf(want, have)
			}
			if diff := cmp.Diff(tt.ops, "\n"+lines(Plan(want, have, scope))); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLocalDestinationEqualsWhateverWasAskedFor(t *testing.T) {
	id := AddrService(TCP, netip.MustParseAddrPort("192.0.2.10:80"))
	d := Destination{Addr: netip.MustParseAddrPort("127.0.0.1:80"), Forward: Route, Weight: 1}
	want := Table{{Service: Service{ID: id, Scheduler: "rr"}, Destinations: []Destination{d}}}
	d.Forward = Local
	have := Table{{Service: Service{ID: id, Scheduler: "rr"}, Destinations: []Destination{d}}}
	if ops := Plan(want, have, ScopeOf(want)); len(ops) != 0 {
		t.Errorf("plan is not empty:\n%s", lines(ops))
	}
}

func TestDestinationListedTwiceIsDeletedOnce(t *testing.T) {
	have := table(t, web)
	have[0].Destinations = append(have[0].Destinations, have[0].Destinations[0])
	want := Table{{Service: have[0].Service}}
	if ops := Plan(want, have, ScopeOf(want)); len(ops) != 2 {
		t.Errorf("got %d ops, want 2:\n%s", len(ops), lines(ops))
	}
}

func TestApplyIsAsStrictAsTheKernel(t *testing.T) {
	for line, want := range map[string]error{
		"-A -t 192.0.2.10:80 -s rr":                         fs.ErrExist,
		"-E -t 192.0.2.11:80 -s rr":                         fs.ErrNotExist,
		"-D -t 192.0.2.11:80":                               fs.ErrNotExist,
		"-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1":      fs.ErrExist,
		"-a -t 192.0.2.11:80 -r 192.0.2.21:80 -g -w 1":      fs.ErrNotExist,
		"-e -t 192.0.2.10:80 -r 192.0.2.29:80 -g -w 1":      fs.ErrNotExist,
		"-d -t 192.0.2.10:80 -r 192.0.2.29:80":              fs.ErrNotExist,
		"ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21:80 -w 9": nil,
	} {
		op, err := ParseOp(line)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := table(t, web).Apply(op); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", line, err, want)
		}
	}
}

// randomTable uses only a few values, so that two tables overlap.
func randomTable(r *rand.Rand) Table {
	var t Table
	for n := range r.IntN(4) {
		id := AddrService(TCP, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.10"), uint16(80+n)))
		if r.IntN(3) == 0 {
			id = MarkService(uint32(n+1), r.IntN(2) == 0)
		}
		s := Service{ID: id, Scheduler: Scheduler([]string{"rr", "wlc", "mh", "sh"}[r.IntN(4)])}
		if r.IntN(2) == 0 {
			s.Persistence = time.Duration(r.IntN(3)) * time.Second
			s.Granularity = 24 * r.IntN(2)
		}
		v := VirtualService{Service: s}
		for d := range r.IntN(5) {
			if r.IntN(3) == 0 {
				continue
			}
			v.Destinations = append(v.Destinations, Destination{
				Addr:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(20 + d)}), 80),
				Forward: []Forward{Masq, Route, Tunnel}[r.IntN(3)], Weight: r.IntN(3), HashWeight: r.IntN(3),
			})
		}
		r.Shuffle(len(v.Destinations), func(i, j int) {
			v.Destinations[i], v.Destinations[j] = v.Destinations[j], v.Destinations[i]
		})
		t = append(t, v)
	}
	return t
}

func FuzzPlanConverges(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, stopAt uint8) {
		r := rand.New(rand.NewPCG(seed, 1))
		want, have := randomTable(r), randomTable(r)
		scope := ScopeOf(want)
		// Add about half of the services in have to the scope. The services outside the scope belong
		// to another owner.
		for _, v := range have {
			if r.IntN(2) == 0 {
				scope[v.ID] = true
			}
		}
		foreign := func(t Table) string {
			var b strings.Builder
			for _, v := range t {
				if !scope[v.ID] {
					b.WriteString(Table{v}.String())
				}
			}
			return b.String()
		}
		before := foreign(have)
		apply := func(ops []Op) {
			for _, op := range ops {
				if !scope[op.Service.ID] {
					t.Fatalf("op outside its scope: %s", op)
				}
				next, err := have.Apply(op)
				if err != nil {
					t.Fatal(err)
				}
				have = next
			}
		}
		first := Plan(want, kernel(have), scope)
		// The first process was killed after it had made these changes.
		apply(first[:min(int(stopAt), len(first))])
		apply(Plan(want, kernel(have), scope))
		for _, v := range have {
			if scope[v.ID] && v.Scheduler.Hashes() && !slices.IsSortedFunc(v.Destinations, func(a, b Destination) int { return a.Addr.Compare(b.Addr) }) {
				t.Fatalf("destinations in another order than their addresses:\n%s", Table{v})
			}
		}
		if left := Plan(want, kernel(have), scope); len(left) != 0 {
			t.Fatalf("a second plan is not empty:\n%swant\n%shave\n%s", lines(left), want, have)
		}
		if after := foreign(have); after != before {
			t.Fatalf("foreign services changed:\n%s", cmp.Diff(before, after))
		}
		apply(Plan(nil, kernel(have), scope))
		if left := Plan(nil, have, scope); len(left) != 0 {
			t.Fatalf("stop leaves something:\n%s", lines(left))
		}
	})
}

func FuzzParseOp(f *testing.F) {
	for _, line := range strings.Split(web, "\n") {
		f.Add(line)
	}
	f.Add("ipvsadm -A -u [2001:db8::10]:53 -s mh -p 60 -M 64 -o -b mh-port,flag-3")
	f.Add("-a -f 5 -6 -r [2001:db8::21]:0 -m -w 65535 -x 10 -y 5")
	f.Add("-a -f 5 -r [2001:db8::21]:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum")
	f.Add("-A -f 5 -s rr -p 60 --pe sip")
	f.Fuzz(func(t *testing.T, line string) {
		op, err := ParseOp(line)
		if err != nil {
			return
		}
		again, err := ParseOp(op.String())
		if err != nil {
			t.Fatalf("%q became %q: %v", line, op, err)
		}
		if op.String() != again.String() {
			t.Fatalf("%q became %q, then %q", line, op, again)
		}
	})
}

func TestValidate(t *testing.T) {
	tests := []struct{ name, table, want string }{
		{"good", web, ""},
		{"port of a direct route", "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:8080 -g -w 1",
			"virtual service -t 192.0.2.10:80: real server 192.0.2.21:8080: direct routing and tunnels cannot change the port: it is 8080 here and 80 in the service; use the same port or masq"},
		{"port of NAT", "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:8080 -m -w 1", ""},
		{"family", "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r [2001:db8::21]:80 -g -w 1",
			"virtual service -t 192.0.2.10:80: real server [2001:db8::21]:80: its address family differs from the service's; use a tunnel (ipip, gue or gre), or addresses of one family"},
		{"family of a mark", "-A -f 5 -6 -s rr\n-a -f 5 -6 -r 192.0.2.21:80 -g -w 1",
			"virtual service -f 5 -6: real server 192.0.2.21:80: its address family differs from the service's; use a tunnel (ipip, gue or gre), or addresses of one family"},
		{"no method", "-A -f 5 -s rr\n-a -f 5 -r 192.0.2.21:80 -w 1",
			"virtual service -f 5: real server 192.0.2.21:80: no forwarding method; use gate, masq, ipip, gue or gre"},
		{"port 0", "-A -t 192.0.2.10:0 -s rr", "virtual service -t 192.0.2.10:0: port 0 (every port) needs persistence"},
		{"threshold above the limit", "-A -f 5 -s rr\n-a -f 5 -r 192.0.2.21:80 -g -w 1 -x 2147483648 -y 0",
			"virtual service -f 5: real server 192.0.2.21:80: threshold 2147483648 is not between 0 and 2147483647"},
		{"thresholds", "-A -f 5 -s rr\n-a -f 5 -r 192.0.2.21:80 -g -w 1 -x 5 -y 9",
			"virtual service -f 5: real server 192.0.2.21:80: lower threshold 9 is above the upper threshold 5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := table(t, tt.table).Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestServersOfMHAreCounted(t *testing.T) {
	v := VirtualService{Service: Service{ID: MarkService(5, false), Scheduler: "mh"}}
	for i := range 4094 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
		v.Destinations = append(v.Destinations, Destination{Addr: addr, Forward: Route, Weight: 1})
	}
	const want = "virtual service -f 5: scheduler mh balances 4093 real servers at most, not 4094; use another scheduler or several services"
	if err := v.Validate(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	v.Destinations = v.Destinations[1:]
	if err := v.Validate(); err != nil {
		t.Error(err)
	}
}

func TestParseTableErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"-A -t 192.0.2.10:80 -s wrrr", `line 1: "-A -t 192.0.2.10:80 -s wrrr": -s wrrr: unknown scheduler "wrrr"`},
		{"-A -t 192.0.2.10:80 -s rr\n-A -t 192.0.2.10:80 -s rr", "line 2: ipvsadm -A -t 192.0.2.10:80 -s rr: file already exists"},
		{"-D -f 5", "line 1: ipvsadm -D -f 5 does not describe a table; only -A and -a do"},
		{"-A", `line 1: "-A": no virtual service; one of -t, -u, --sctp-service or -f is expected`},
		{"-A -f 5 -r 192.0.2.21:80", `line 1: "-A -f 5 -r 192.0.2.21:80": -a, -e and -d take a real server (-r), -A, -E and -D do not`},
		{"-A -f 5 -q", `line 1: "-A -f 5 -q": -q is unknown or has no value`},
		{"-A -f 0", `line 1: "-A -f 0": -f 0: not a number from 1 to 4294967295`},
	}
	for _, tt := range tests {
		if _, err := ParseTable(tt.text); err == nil || err.Error() != tt.want {
			t.Errorf("%q\ngot  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

func TestTablePrintsAsIpvsadmDoes(t *testing.T) {
	const text = `-A -t 192.0.2.10:80 -s rr -p 600 -M 255.255.255.0
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2 -x 10 -y 5
-A -u [2001:db8::10]:53 -s wlc -p 60 -M 64 -o
-A -f 5 -6 -s mh -b mh-fallback,mh-port
-a -f 5 -6 -r [2001:db8::21]:0 -m -w 0
`
	if diff := cmp.Diff(text, table(t, text).String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
