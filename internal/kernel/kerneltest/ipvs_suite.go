package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// IPVSKernel is the interface that RunIPVS tests.
type IPVSKernel interface {
	Table(ctx context.Context) (lvs.Table, error)
	Apply(ctx context.Context, ops []lvs.Op) (done int, err error)
	Timeouts(ctx context.Context) (lvs.Timeouts, error)
	SetTimeouts(ctx context.Context, t lvs.Timeouts) error
	Close() error
}

// ipvsCase is a test that applies the operations in ops, one operation per line. The fields done
// and err are the results of the last call of Apply. The field table is the table at the end.
type ipvsCase struct {
	name  string
	setup string // setup are the operations that must succeed before ops.
	ops   string
	done  int
	err   error
	text  string // text is the text of the error.
	// starts is the start of the text. The rest depends on the modules of the host.
	starts string
	table  string // table is the expected table in the format of `ipvsadm -Sn`.
}

func ipvsCases() []ipvsCase {
	const web = `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2
`
	return []ipvsCase{
		{name: "empty table"},
		{name: "no ops", setup: web, table: web},
		{name: "services of all kinds", done: 11, ops: `
-A -t 192.0.2.10:80 -s rr
-A -t 192.0.2.10:443 -s wlc -p 600
-A -t 192.0.2.10:8080 -s sh -b flag-1,flag-2
-A -u 192.0.2.10:53 -s wrr -o
-A --sctp-service 192.0.2.10:80 -s lc
-A -t [2001:db8::10]:80 -s mh -b flag-1,flag-2
-A -u [2001:db8::10]:53 -s dh
-A -f 5 -s sed
-A -f 5 -6 -s nq
-A -f 4294967295 -s fo
-A -t 192.0.2.10:0 -s ovf -p 60
`, table: `
-A -t 192.0.2.10:0 -s ovf -p 60
-A -u 192.0.2.10:53 -s wrr -o
-A -t 192.0.2.10:80 -s rr
-A --sctp-service 192.0.2.10:80 -s lc
-A -t 192.0.2.10:443 -s wlc -p 600
-A -t 192.0.2.10:8080 -s sh -b sh-fallback,sh-port
-A -u [2001:db8::10]:53 -s dh
-A -t [2001:db8::10]:80 -s mh -b mh-fallback,mh-port
-A -f 5 -s sed
-A -f 5 -6 -s nq
-A -f 4294967295 -s fo
`},
		{name: "persistence netmask", done: 8, ops: `
-A -t 192.0.2.10:80 -s rr -p 600 -M 255.255.255.0
-A -t 192.0.2.10:81 -s rr -p 600 -M 255.255.255.255
-A -t 192.0.2.10:82 -s rr -p 600 -M 128.0.0.0
-A -t [2001:db8::10]:80 -s rr -p 60 -M 64
-A -t [2001:db8::10]:81 -s rr -p 60 -M 128
-A -t [2001:db8::10]:82 -s rr -p 60 -M 1
-A -f 1 -s rr -p 2678400 -M 255.255.0.0
-A -f 1 -6 -s rr -p 1 -M 48
`, table: `
-A -t 192.0.2.10:80 -s rr -p 600 -M 255.255.255.0
-A -t 192.0.2.10:81 -s rr -p 600
-A -t 192.0.2.10:82 -s rr -p 600 -M 128.0.0.0
-A -t [2001:db8::10]:80 -s rr -p 60 -M 64
-A -t [2001:db8::10]:81 -s rr -p 60
-A -t [2001:db8::10]:82 -s rr -p 60 -M 1
-A -f 1 -s rr -p 2678400 -M 255.255.0.0
-A -f 1 -6 -s rr -p 1 -M 48
`},
		{name: "destinations of all kinds", done: 9, ops: `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.23:8080 -m -w 65535
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 0
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1 -x 100 -y 50
-A -f 5 -6 -s rr
-a -f 5 -6 -r [2001:db8::21]:80 -g -w 1
-a -f 5 -6 -r [2001:db8::22]:80 -i -w 1
-A -u 192.0.2.10:53 -s rr
-a -u 192.0.2.10:53 -r 192.0.2.21:53 -m -w 1
`, table: `
-A -u 192.0.2.10:53 -s rr
-a -u 192.0.2.10:53 -r 192.0.2.21:53 -m -w 1
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1 -x 100 -y 50
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 0
-a -t 192.0.2.10:80 -r 192.0.2.23:8080 -m -w 65535
-A -f 5 -6 -s rr
-a -f 5 -6 -r [2001:db8::21]:80 -g -w 1
-a -f 5 -6 -r [2001:db8::22]:80 -i -w 1
`},
		{name: "duplicate service", setup: web, ops: "-A -t 192.0.2.10:80 -s rr", err: fs.ErrExist,
			text: "ipvsadm -A -t 192.0.2.10:80 -s rr: file already exists", table: web},
		{name: "duplicate destination", setup: web, ops: "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 9", err: fs.ErrExist,
			text: "ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 9: file already exists", table: web},
		{name: "edit a missing service", ops: "-E -t 192.0.2.10:80 -s rr", err: fs.ErrNotExist,
			text: "ipvsadm -E -t 192.0.2.10:80 -s rr: file does not exist"},
		{name: "delete a missing service", ops: "-D -t 192.0.2.10:80", err: fs.ErrNotExist,
			text: "ipvsadm -D -t 192.0.2.10:80: file does not exist"},
		{name: "delete a missing IPv6 mark service", setup: "-A -f 5 -s rr", ops: "-D -f 5 -6", err: fs.ErrNotExist,
			text: "ipvsadm -D -f 5 -6: file does not exist", table: "-A -f 5 -s rr"},
		{name: "destination of a missing service", ops: "-a -f 9 -r 192.0.2.21:80 -g -w 1", err: fs.ErrNotExist,
			text: "ipvsadm -a -f 9 -r 192.0.2.21:80 -g -w 1: file does not exist"},
		{name: "edit a missing destination", setup: web, ops: "-e -t 192.0.2.10:80 -r 192.0.2.29:80 -g -w 1", err: fs.ErrNotExist,
			text: "ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.29:80 -g -w 1: file does not exist", table: web},
		{name: "delete a missing destination", setup: web, ops: "-d -t 192.0.2.10:80 -r 192.0.2.29:80", err: fs.ErrNotExist,
			text: "ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.29:80: file does not exist", table: web},
		{name: "thresholds the wrong way round", setup: web, ops: "-e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1 -x 1 -y 2",
			err: syscall.ERANGE, table: web},
		{name: "destination of the other family", setup: web, ops: "-a -t 192.0.2.10:80 -r [2001:db8::21]:80 -g -w 1",
			err: syscall.EINVAL, table: web},
		{name: "destination of the other family in IPv6", setup: "-A -f 5 -6 -s rr", ops: "-a -f 5 -6 -r 192.0.2.21:80 -g -w 1",
			err: syscall.EINVAL, table: "-A -f 5 -6 -s rr"},
		{name: "tunnels go to the other family", setup: "-A -f 5 -s rr", ops: "-a -f 5 -r [2001:db8::21]:80 -i -w 1", done: 1,
			table: "-A -f 5 -s rr\n-a -f 5 -r [2001:db8::21]:80 -i -w 1"},
		{name: "tunnels of all types", done: 9, ops: `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6080
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 1 --tun-type gue --tun-port 1 --tun-csum
-a -t 192.0.2.10:80 -r 192.0.2.23:80 -i -w 1 -x 5 -y 2 --tun-type gue --tun-port 65535 --tun-remcsum
-a -t 192.0.2.10:80 -r 192.0.2.24:80 -i -w 1 --tun-type gre
-a -t 192.0.2.10:80 -r 192.0.2.25:80 -i -w 1 --tun-type gre --tun-csum
-A -t [2001:db8::10]:80 -s rr
-a -t [2001:db8::10]:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6080
-a -t [2001:db8::10]:80 -r [2001:db8::21]:80 -i -w 1 --tun-type gre
`, table: `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 1 --tun-type gue --tun-port 1 --tun-csum
-a -t 192.0.2.10:80 -r 192.0.2.23:80 -i -w 1 -x 5 -y 2 --tun-type gue --tun-port 65535 --tun-remcsum
-a -t 192.0.2.10:80 -r 192.0.2.24:80 -i -w 1 --tun-type gre --tun-nocsum
-a -t 192.0.2.10:80 -r 192.0.2.25:80 -i -w 1 --tun-type gre --tun-csum
-A -t [2001:db8::10]:80 -s rr
-a -t [2001:db8::10]:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t [2001:db8::10]:80 -r [2001:db8::21]:80 -i -w 1 --tun-type gre --tun-nocsum
`},
		{name: "the tunnel changes in place", setup: web, done: 4, ops: `
-e -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6080
-e -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type gre --tun-csum
-e -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 1 --tun-type gue --tun-port 6080
-e -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 1
`, table: `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type gre --tun-csum
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 1
`},
		{name: "a gue tunnel without a port", setup: web, ops: "-e -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue",
			err: syscall.EINVAL, table: web},
		{name: "persistence engine", done: 4, ops: `
-A -u 192.0.2.10:5060 -s rr -p 60 --pe sip -o
-A -f 5 -6 -s rr -p 60 -M 64 --pe sip
-A -f 6 -s rr -p 60
-E -f 6 -s rr -p 60 --pe sip
`, table: `
-A -u 192.0.2.10:5060 -s rr -p 60 --pe sip -o
-A -f 5 -6 -s rr -p 60 -M 64 --pe sip
-A -f 6 -s rr -p 60 --pe sip
`},
		{name: "persistence engine is taken off", setup: "-A -f 5 -s rr -p 60 --pe sip", done: 1,
			ops: "-E -f 5 -s rr -p 60", table: "-A -f 5 -s rr -p 60"},
		{name: "unknown scheduler", setup: web, ops: "-A -f 5 -s twos", err: host.ErrNotInstalled,
			starts: `ipvsadm -A -f 5 -s twos: scheduler "twos" is not available`, table: web},
		{name: "edit to an unknown scheduler", setup: web, ops: "-E -t 192.0.2.10:80 -s twos", err: host.ErrNotInstalled,
			starts: `ipvsadm -E -t 192.0.2.10:80 -s twos: scheduler "twos" is not available`, table: web},
		{name: "weight and method are edited", setup: web, done: 2, ops: `
-e -t 192.0.2.10:80 -r 192.0.2.21:80 -m -w 0
-e -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 7
`, table: `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -m -w 0
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 7
`},
		{name: "a service edited in place keeps its destinations", setup: web, done: 1,
			ops: "-E -t 192.0.2.10:80 -s mh -p 60 -M 255.255.255.0 -b flag-1", table: `
-A -t 192.0.2.10:80 -s mh -p 60 -M 255.255.255.0 -b mh-fallback
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2
`},
		{name: "persistence is taken off", setup: "-A -f 5 -s rr -p 60 -M 255.0.0.0 -o", done: 1,
			ops: "-E -f 5 -s rr", table: "-A -f 5 -s rr"},
		{name: "other services survive", setup: web + "-A -f 7 -s wlc\n-a -f 7 -r 192.0.2.30:0 -m -w 3", done: 2, ops: `
-d -t 192.0.2.10:80 -r 192.0.2.21:80
-D -t 192.0.2.10:80
`, table: "-A -f 7 -s wlc\n-a -f 7 -r 192.0.2.30:0 -m -w 3"},
		{name: "failure in the middle of services", done: 1, ops: `
-A -f 1 -s rr
-D -f 9
-A -f 2 -s rr
`, err: fs.ErrNotExist, text: "ipvsadm -D -f 9: file does not exist", table: "-A -f 1 -s rr"},
		{name: "failure in the middle of many services", setup: "-A -f 3 -s rr", done: 2, ops: `
-A -f 1 -s rr
-A -f 2 -s rr
-A -f 3 -s rr
-A -f 4 -s rr
-E -f 9 -s rr
-A -f 5 -s rr -p 60 -M 255.255.255.0
-A -f 6 -6 -s mh -b mh-port
-E -f 1 -s lc -o
-A -f 7 -s rr
-D -f 2
-A -u 192.0.2.10:53 -s rr -p 60 --pe sip
`, err: fs.ErrExist, text: "ipvsadm -A -f 3 -s rr: file already exists", table: `
-A -u 192.0.2.10:53 -s rr -p 60 --pe sip
-A -f 1 -s lc -o
-A -f 3 -s rr
-A -f 4 -s rr
-A -f 5 -s rr -p 60 -M 255.255.255.0
-A -f 6 -6 -s mh -b mh-port
-A -f 7 -s rr
`},
		{name: "failure in the middle of a batch", setup: "-A -f 1 -s rr", done: 2, ops: `
-a -f 1 -r 192.0.2.21:80 -g -w 1
-a -f 1 -r 192.0.2.22:80 -g -w 1
-e -f 1 -r 192.0.2.29:80 -g -w 1
-a -f 1 -r 192.0.2.23:80 -g -w 1
-d -f 1 -r 192.0.2.28:80
-A -f 2 -s rr
`, err: fs.ErrNotExist, text: "ipvsadm -e -f 1 -r 192.0.2.29:80 -g -w 1: file does not exist", table: `
-A -f 1 -s rr
-a -f 1 -r 192.0.2.21:80 -g -w 1
-a -f 1 -r 192.0.2.22:80 -g -w 1
-a -f 1 -r 192.0.2.23:80 -g -w 1
`},
	}
}

// RunIPVS tests that a kernel behaves as Linux does. Each subtest calls open, which returns a
// kernel with an empty table.
func RunIPVS(t *testing.T, open func(t *testing.T) IPVSKernel) {
	for _, tt := range ipvsCases() {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
	t.Run("a local destination reads back as local", func(t *testing.T) { localDestination(t, open(t)) })
	t.Run("500 destinations in one call", func(t *testing.T) { manyDestinations(t, open(t)) })
	t.Run("a destination without a method", func(t *testing.T) { noMethod(t, open(t)) })
	t.Run("context that is over", func(t *testing.T) { contextOver(t, open(t)) })
	t.Run("order of addition", func(t *testing.T) { orderOfAddition(t, open(t)) })
	t.Run("timeouts", func(t *testing.T) { timeouts(t, open(t)) })
	t.Run("plans converge", func(t *testing.T) { convergence(t, open(t)) })
}

func (tt ipvsCase) run(t *testing.T, k IPVSKernel) {
	apply(t, k, tt.setup)
	ops := ParseOps(t, tt.ops)
	done, err := k.Apply(t.Context(), ops)
	if done != tt.done || !errors.Is(err, tt.err) || (err != nil) != (tt.err != nil) {
		t.Errorf("got %d, %v; want %d, %v", done, err, tt.done, tt.err)
	}
	if err != nil && !strings.HasPrefix(err.Error(), tt.starts) {
		t.Errorf("got  %s\nwant %s…", err, tt.starts)
	}
	if err != nil && tt.text != "" && err.Error() != tt.text {
		t.Errorf("got  %s\nwant %s", err, tt.text)
	}
	if diff := cmp.Diff(strings.TrimSpace(tt.table), read(t, k)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// orderOfAddition checks that Table returns destinations in the order of their addition. Schedulers
// that hash depend on this order. A change of weight keeps the order.
func orderOfAddition(t *testing.T, k IPVSKernel) {
	apply(t, k, `-A -t 192.0.2.10:80 -s mh -b flag-1,flag-2
-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
-e -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 0
-d -t 192.0.2.10:80 -r 192.0.2.21:80
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 3
-A -t 192.0.2.10:81 -s rr
-a -t 192.0.2.10:81 -r 192.0.2.22:81 -g -w 1
-a -t 192.0.2.10:81 -r 192.0.2.21:81 -g -w 1
`)
	have, err := k.Table(t.Context())
	if err != nil || len(have) != 2 {
		t.Fatal(have, err)
	}
	if diff := cmp.Diff("[192.0.2.23:80 192.0.2.22:80 192.0.2.21:80]", fmt.Sprint(have[0].Order)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if have[1].Order != nil {
		t.Errorf("order of a scheduler without a hash table: %v", have[1].Order)
	}
	ops := lvs.Plan(have.Unordered(lvs.ScopeOf(have)), have, lvs.ScopeOf(have))
	if _, err := k.Apply(t.Context(), ops); err != nil || len(ops) == 0 {
		t.Fatalf("%d operations: %v", len(ops), err)
	}
	if have, err = k.Table(t.Context()); err != nil || fmt.Sprint(have[0].Order) != "[192.0.2.21:80 192.0.2.22:80 192.0.2.23:80]" {
		t.Errorf("repaired: %v, %v", have[0].Order, err)
	}
}

// timeouts checks that a timeout of zero leaves the kernel's timeout as it is.
func timeouts(t *testing.T, k IPVSKernel) {
	for _, step := range []struct{ set, want string }{
		{"", "ipvsadm --set 900 120 300"},
		{"tcp 7200 udp 5", "ipvsadm --set 7200 120 5"},
		{"tcpfin 1", "ipvsadm --set 7200 1 5"},
		{"tcp 2678400 tcpfin 120 udp 300", "ipvsadm --set 2678400 120 300"},
	} {
		if step.set != "" {
			set, err := lvs.ParseTimeouts(step.set)
			if err == nil {
				err = k.SetTimeouts(t.Context(), set)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if have, err := k.Timeouts(t.Context()); err != nil || have.String() != step.want {
			t.Errorf("after %q: %v, %v", step.set, have, err)
		}
	}
}

// ParseOps parses operations in ipvsadm syntax, one operation per line.
func ParseOps(t testing.TB, text string) []lvs.Op {
	t.Helper()
	var ops []lvs.Op
	for line := range strings.Lines(strings.TrimSpace(text)) {
		op, err := lvs.ParseOp(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, op)
	}
	return ops
}

func apply(t testing.TB, k IPVSKernel, text string) {
	t.Helper()
	if _, err := k.Apply(t.Context(), ParseOps(t, text)); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, k IPVSKernel) string {
	t.Helper()
	table, err := k.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(table.String())
}

func localDestination(t *testing.T, k IPVSKernel) {
	apply(t, k, "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 1")
	table, err := k.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []lvs.Destination{{Addr: netip.MustParseAddrPort("127.0.0.1:80"), Forward: lvs.Local, Weight: 1}}
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(table[0].Destinations)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func manyDestinations(t *testing.T, k IPVSKernel) {
	const n = 500
	id := lvs.AddrService(lvs.TCP, netip.MustParseAddrPort("192.0.2.10:80"))
	ops := []lvs.Op{{Verb: lvs.AddService, Service: lvs.Service{ID: id, Scheduler: "rr"}}}
	want := lvs.VirtualService{Service: ops[0].Service}
	for i := range n {
		addr := netip.AddrFrom4([4]byte{198, 51, 100 + byte(i/250), byte(i % 250)})
		d := lvs.Destination{Addr: netip.AddrPortFrom(addr, 80), Forward: lvs.Masq, Weight: i}
		want.Destinations = append(want.Destinations, d)
		ops = append(ops, lvs.Op{Verb: lvs.AddDestination, Service: lvs.Service{ID: id}, Destination: d})
	}
	if done, err := k.Apply(t.Context(), ops); done != n+1 || err != nil {
		t.Fatalf("got %d, %v; want %d", done, err, n+1)
	}
	if diff := cmp.Diff(strings.TrimSpace(lvs.Table{want}.String()), read(t, k)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	// One operation fails in a later batch than the first.
	again := ops[300:301]
	edit := make([]lvs.Op, 0, n)
	for _, op := range ops[1:] {
		op.Verb = lvs.EditDestination
		edit = append(edit, op)
	}
	edit = append(append(edit[:200:200], again...), edit[200:]...)
	done, err := k.Apply(t.Context(), edit)
	if done != 200 || !errors.Is(err, fs.ErrExist) || !strings.HasPrefix(err.Error(), again[0].String()+": ") {
		t.Errorf("got %d, %v; want 200 and that %s exists", done, err, again[0])
	}
}

func noMethod(t *testing.T, k IPVSKernel) {
	apply(t, k, "-A -f 1 -s rr")
	ops := ParseOps(t, "-a -f 1 -r 192.0.2.21:80 -g -w 1\n-a -f 1 -r 192.0.2.22:80 -g -w 1")
	ops[1].Destination.Forward = 0
	done, err := k.Apply(t.Context(), ops)
	const want = "ipvsadm -a -f 1 -r 192.0.2.22:80 -w 1: unknown forwarding method 0"
	if done != 1 || err == nil || err.Error() != want {
		t.Errorf("got  %d, %v\nwant 1, %s", done, err, want)
	}
}

func contextOver(t *testing.T, k IPVSKernel) {
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if _, err := k.Table(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Table: %v", err)
	}
	done, err := k.Apply(ctx, ParseOps(t, "-A -f 1 -s rr"))
	const want = "ipvsadm -A -f 1 -s rr: context deadline exceeded"
	if done != 0 || err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got  %d, %v\nwant 0, %s", done, err, want)
	}
	if got := read(t, k); got != "" {
		t.Errorf("the kernel applied the op after the deadline: %s", got)
	}
}

// convergence applies the plan that leads from one table to the next. It then checks that a second
// plan is empty.
func convergence(t *testing.T, k IPVSKernel) {
	for _, text := range []string{`
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 1
-A -f 5 -6 -s wrr -p 60 -M 64
-a -f 5 -6 -r [2001:db8::21]:80 -g -w 1
`, `
-A -t 192.0.2.10:80 -s wlc -p 60
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1
-A -f 5 -6 -s wrr
-a -f 5 -6 -r [2001:db8::21]:80 -g -w 3
-a -f 5 -6 -r [::1]:80 -g -w 1
-A -f 6 -s sh -b sh-port
`, ``} {
		want, err := lvs.ParseTable(text)
		if err != nil {
			t.Fatal(err)
		}
		have, err := k.Table(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Apply(t.Context(), lvs.Plan(want, have, lvs.ScopeOf(want, have))); err != nil {
			t.Fatal(err)
		}
		if have, err = k.Table(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := lvs.Plan(want, have, lvs.ScopeOf(want, have)); len(left) != 0 {
			t.Errorf("left to do: %v", left)
		}
	}
}
