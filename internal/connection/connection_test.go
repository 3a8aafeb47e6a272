package connection

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/lvs"
)

// table is in the format of Linux 6.1.
const table = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0000264 9C40 C000020A 0050 C0000215 0050 ESTABLISHED     897
UDP C0000264 9C41 C000020A 0035 C0000216 0035 UDP             299
TCP C0000264 0000 C000020A 0050 C0000215 0050 ASSURED         120
IP  C0000264 0000 00000005 0000 C0000215 0000 NONE             60
UDP C0000264 0000 C000020A 13C4 C0000215 13C4 NONE             60 sip 3848276298220188511@example
TCP [2001:0db8:0000:0000:0000:0000:0000:0100] 9C40 [2001:0db8:0000:0000:0000:0000:0000:0010] 0050 [2001:0db8:0000:0000:0000:0000:0000:0021] 0050 FIN_WAIT        12
SCTP C0000264 9C40 C000020A 0050 C0000215 0050 ESTABLISHED     890
`

func read(t *testing.T, text string) (all []Connection) {
	t.Helper()
	damaged, err := Read(strings.NewReader(text), func(c Connection) error { all = append(all, c); return nil })
	if err != nil || damaged > 0 {
		t.Fatalf("%d damaged lines, %v", damaged, err)
	}
	return all
}

func TestRead(t *testing.T) {
	port := netip.MustParseAddrPort
	want := []Connection{
		{Protocol: 6, Client: port("192.0.2.100:40000"), Virtual: port("192.0.2.10:80"), Real: port("192.0.2.21:80"), State: "ESTABLISHED", Expires: 897 * time.Second},
		{Protocol: 17, Client: port("192.0.2.100:40001"), Virtual: port("192.0.2.10:53"), Real: port("192.0.2.22:53"), State: "UDP", Expires: 299 * time.Second},
		{Protocol: 6, Client: port("192.0.2.100:0"), Virtual: port("192.0.2.10:80"), Real: port("192.0.2.21:80"), State: "ASSURED", Expires: 120 * time.Second},
		{Client: port("192.0.2.100:0"), Virtual: port("0.0.0.5:0"), Real: port("192.0.2.21:0"), State: "NONE", Expires: 60 * time.Second},
		{Protocol: 17, Client: port("192.0.2.100:0"), Virtual: port("192.0.2.10:5060"), Real: port("192.0.2.21:5060"), State: "NONE", Expires: 60 * time.Second, Engine: "sip"},
		{Protocol: 6, Client: port("[2001:db8::100]:40000"), Virtual: port("[2001:db8::10]:80"), Real: port("[2001:db8::21]:80"), State: "FIN_WAIT", Expires: 12 * time.Second},
		{Protocol: 132, Client: port("192.0.2.100:40000"), Virtual: port("192.0.2.10:80"), Real: port("192.0.2.21:80"), State: "ESTABLISHED", Expires: 890 * time.Second},
	}
	got := read(t, table)
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if mark := got[3].Mark(); mark != 5 {
		t.Errorf("mark %d, want 5", mark)
	}
}

// TestDamagedLinesAreSkipped checks that a damaged line costs one entry and not its neighbours.
func TestDamagedLinesAreSkipped(t *testing.T) {
	good := strings.SplitAfter(table, "\n")[1]
	for name, line := range map[string]string{
		"short":                "TCP C0000264 9C40\n",
		"empty":                "\n",
		"protocol":             strings.Replace(good, "TCP", "XYZ", 1),
		"digit":                strings.Replace(good, "C0000264", "G0000264", 1),
		"address":              strings.Replace(good, "C0000264", "C00002", 1),
		"port":                 strings.Replace(good, "9C40", "19C40", 1),
		"seconds":              strings.Replace(good, "897", "-1", 1),
		"IPv4 as IPv6":         strings.Replace(good, "C0000264", "::ffff%eth0", 1),
		"longer than a buffer": strings.Repeat("x", 3*longest) + "\n",
	} {
		n := 0
		damaged, err := Read(strings.NewReader(good+line+good), func(Connection) error { n++; return nil })
		if err != nil || damaged != 1 || n != 2 {
			t.Errorf("%s: %d entries, %d damaged lines, %v", name, n, damaged, err)
		}
	}
}

func TestReadReturnsErrors(t *testing.T) {
	failed := errors.New("failed")
	_, err := Read(strings.NewReader(table), func(Connection) error { return failed })
	if !errors.Is(err, failed) {
		t.Errorf("of each: %v", err)
	}
	_, err = Read(io.MultiReader(strings.NewReader(table), failing{failed}), func(Connection) error { return nil })
	if !errors.Is(err, failed) {
		t.Errorf("of the reader: %v", err)
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

// TestReadNeedsLittleMemory checks that Read allocates little memory, even for a large table.
func TestReadNeedsLittleMemory(t *testing.T) {
	var before, after runtime.MemStats
	line := []byte(strings.SplitAfter(table, "\n")[1])
	const n = 100_000
	runtime.ReadMemStats(&before)
	count := 0
	if _, err := Read(&repeated{line: line, n: n}, func(Connection) error { count++; return nil }); err != nil || count != n {
		t.Fatalf("%d entries, %v", count, err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
		t.Errorf("%d bytes for %d lines", got, n)
	}
}

func BenchmarkRead(b *testing.B) {
	var line = []byte(strings.SplitAfter(table, "\n")[1])
	var sketch Sketch
	b.ReportAllocs()
	if _, err := Read(&repeated{line: line, n: b.N}, func(c Connection) error { sketch.Add(c); return nil }); err != nil {
		b.Fatal(err)
	}
}

// repeated is a reader that returns the same line n times.
type repeated struct {
	line []byte
	n    int
	rest []byte
}

func (r *repeated) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.n == 0 {
			return 0, io.EOF
		}
		r.rest, r.n = r.line, r.n-1
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestMessage(t *testing.T) {
	m := NewMessage(7, 120)
	var left []int
	for i, c := range read(t, table) {
		if !c.Carried() || !m.Add(c, c.Mark(), c.Expires) {
			left = append(left, i)
		}
	}
	// The message has entries 0 to 2. A message never carries the template of a persistence engine,
	// and this message has no room for the other entries.
	if diff := cmp.Diff([]int{3, 4, 5, 6}, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	want := "00" + "07" + "0074" + "03" + "01" + "0000" +
		"00" + "06" + "0024" + "00000000" + "0001" + "9c40" + "0050" + "0050" + "00000000" + "00000381" + "c0000264" + "c000020a" + "c0000215" +
		"00" + "11" + "0024" + "00000000" + "0000" + "9c41" + "0035" + "0035" + "00000000" + "0000012b" + "c0000264" + "c000020a" + "c0000216" +
		"00" + "06" + "0024" + "00001000" + "0001" + "0000" + "0050" + "0050" + "00000000" + "00000078" + "c0000264" + "c000020a" + "c0000215"
	if got := hex.EncodeToString(m.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i, want := range map[int]string{
		3: "0007002c01010000" + "00000024" + "00001000" + "0000" + "0000" + "0000" + "0000" + "00000005" + "0000003c" + "c0000264" + "00000005" + "c0000215",
		5: "0007005001010000" + "01060048" + "00000100" + "0004" + "9c40" + "0050" + "0050" + "00000000" + "0000000c",
		6: "0007002c01010000" + "00840024" + "00000000" + "0008" + "9c40" + "0050" + "0050" + "00000000" + "0000037a",
	} {
		m.Reset()
		c := read(t, table)[i]
		if !m.Add(c, c.Mark(), c.Expires) || m.Len() != 1 {
			t.Fatal("no room in an empty message")
		}
		if got := hex.EncodeToString(m.Bytes()); !strings.HasPrefix(got, want) {
			t.Errorf("%d:\ngot  %s\nwant %s", i, got, want)
		}
	}
}

func TestCarried(t *testing.T) {
	good := strings.SplitAfter(table, "\n")[1]
	for line, want := range map[string]bool{
		good: true,
		strings.Replace(good, "ESTABLISHED", "SYN_RECV", 1):   true,
		strings.Replace(good, "ESTABLISHED", "CLOSE_WAIT", 1): true,
		strings.Replace(good, "ESTABLISHED", "TIME_WAIT", 1):  false,
		strings.Replace(good, "ESTABLISHED", "CLOSE", 1):      false,
		strings.Replace(good, "ESTABLISHED", "BUG!", 1):       false,
		// Port 0 means an unknown client port.
		strings.Replace(good, "9C40", "0000", 1):                                        false,
		strings.Replace(good, "C0000215", "2001:0db8:0000:0000:0000:0000:0000:0021", 1): false,
		strings.Replace(good, "TCP", "ESP", 1):                                          false,
	} {
		if got := read(t, line)[0].Carried(); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

func TestMessageHas255Connections(t *testing.T) {
	m := NewMessage(0, 65000)
	c := read(t, table)[0]
	for m.Add(c, 0, 0) {
	}
	if m.Len() != 255 {
		t.Errorf("%d connections", m.Len())
	}
}

// TestServices checks the mark and the timeout that a message carries with a connection.
func TestServices(t *testing.T) {
	tables, err := lvs.ParseTable(`-A -t 192.0.2.10:80 -s rr -p 300
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-A -t 192.0.2.11:0 -s rr -p 300
-a -t 192.0.2.11:0 -r 192.0.2.21:0 -g -w 1
-A -f 5 -s rr -p 600
-a -f 5 -r 192.0.2.21:0 -g -w 1
-A -f 4 -s rr
-a -f 4 -r 192.0.2.21:0 -g -w 1
`)
	if err != nil {
		t.Fatal(err)
	}
	services := NewServices(tables)
	connection := "TCP C0000264 9C40 %s 0050 C00002%s 0050 ESTABLISHED     897\n"
	for _, tt := range []struct {
		name, line string
		mark       uint32
		timeout    time.Duration
	}{
		{"of an address", fmt.Sprintf(connection, "C000020A", "15"), 0, 897 * time.Second},
		{"of an address with every port", fmt.Sprintf(connection, "C000020B", "15"), 0, 897 * time.Second},
		{"of a mark", fmt.Sprintf(connection, "C000020C", "15"), 4, 897 * time.Second},
		{"without a service", fmt.Sprintf(connection, "C000020C", "16"), 0, 897 * time.Second},
		{"template of an address", "TCP C0000264 0000 C000020A 0050 C0000215 0050 ASSURED         120\n", 0, 300 * time.Second},
		{"template of a mark", "IP  C0000264 0000 00000005 0000 C0000215 0000 NONE             60\n", 5, 600 * time.Second},
		{"template of an unknown mark", "IP  C0000264 0000 00000009 0000 C0000215 0000 NONE             60\n", 9, 60 * time.Second},
	} {
		c := read(t, tt.line)[0]
		if mark, timeout := services.Mark(c), services.Timeout(c); mark != tt.mark || timeout != tt.timeout {
			t.Errorf("%s: mark %d, timeout %s; want %d, %s", tt.name, mark, timeout, tt.mark, tt.timeout)
		}
	}
}

func FuzzRead(f *testing.F) {
	for line := range strings.Lines(table) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m := NewMessage(1, 1472)
		_, err := Read(strings.NewReader(text), func(c Connection) error {
			c.Hash()
			if !c.Carried() {
				return nil
			}
			before := len(m.Bytes())
			if !m.Add(c, c.Mark(), c.Expires) {
				m.Reset()
			} else if n := len(m.Bytes()) - before; n != 36 && n != 72 {
				t.Errorf("%+v: %d bytes", c, n)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
