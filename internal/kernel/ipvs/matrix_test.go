package ipvs_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/metadata/metadatatest"
)

var recordMatrix = flag.String("record", "", "write the matrix of this kernel into this directory")

// settings are tables that the kernel must accept. Each table is one row of the matrix.
func settings() []string {
	const web = "-A -t 192.0.2.10:80 -s wrr"
	rows := []string{
		web, "-A -t [2001:db8::10]:80 -s wrr", "-A -u 192.0.2.10:53 -s wrr", "-A -u [2001:db8::10]:53 -s wrr",
		"-A --sctp-service 192.0.2.10:80 -s wrr", "-A --sctp-service [2001:db8::10]:80 -s wrr",
		"-A -f 5 -s wrr", "-A -f 5 -6 -s wrr", "-A -f 5 -s wrr;-A -f 5 -6 -s wrr",
		"-A -t 192.0.2.10:0 -s wrr -p 600", "-A -t [2001:db8::10]:0 -s wrr -p 600",
	}
	for _, scheduler := range lvs.Schedulers() {
		rows = append(rows, "-A -t 192.0.2.10:80 -s "+scheduler)
	}
	for _, s := range []string{"sh", "mh"} {
		for _, flags := range []string{s + "-fallback", s + "-port", s + "-fallback," + s + "-port"} {
			rows = append(rows, fmt.Sprintf("-A -t 192.0.2.10:80 -s %s -b %s", s, flags))
		}
	}
	rows = append(rows,
		"-A -t 192.0.2.10:80 -s wrr -b flag-3", "-A -u 192.0.2.10:53 -s wrr -o", "-A -f 5 -6 -s wrr -o",
		web+" -p 1", web+" -p 2678400", web+" -p 600 -M 255.255.255.0", "-A -f 5 -s wrr -p 600 -M 128.0.0.0",
		"-A -t [2001:db8::10]:80 -s wrr -p 600 -M 64", "-A -f 5 -6 -s wrr -p 600 -M 1",
		"-A -u 192.0.2.10:5060 -s wrr -p 600 --pe sip", "-A -u [2001:db8::10]:5060 -s wrr -p 600 -M 64 --pe sip -o", "-A -f 5 -s wrr -p 600 --pe sip",
	)
	for _, method := range methods {
		for _, kind := range [][2]string{{"-t 192.0.2.10:80", "192.0.2.21:80"}, {"-t [2001:db8::10]:80", "[2001:db8::21]:80"}, {"-f 5 -6", "[2001:db8::21]:0"}} {
			rows = append(rows, fmt.Sprintf("-A %s -s wrr;-a %[1]s -r %s %s", kind[0], kind[1], method))
		}
		if strings.HasPrefix(method, "-i") {
			for _, kind := range [][2]string{{"-t 192.0.2.10:80", "[2001:db8::21]:80"}, {"-u [2001:db8::10]:53", "192.0.2.21:53"}, {"-f 5", "[2001:db8::21]:0"}} {
				rows = append(rows, fmt.Sprintf("-A %s -s wrr;-a %[1]s -r %s %s", kind[0], kind[1], method))
			}
		}
	}
	const dest = ";-a -t 192.0.2.10:80 -r 192.0.2.21:80 "
	return append(rows,
		web+";-a -t 192.0.2.10:80 -r 192.0.2.21:8080 -m -w 1", web+dest+"-g -w 0", web+dest+"-g -w 65535",
		web+dest+"-g -w 1 -x 100 -y 0", web+dest+"-m -w 1 -x 2147483647 -y 2147483646",
		web+dest+"-g -w 1;-a -t 192.0.2.10:80 -r 192.0.2.22:81 -m -w 2;-a -t 192.0.2.10:80 -r 192.0.2.23:80 -i -w 3 --tun-type gue --tun-port 6080 --tun-nocsum",
	)
}

// methods are the ends of destinations with the forwarding methods and tunnels that a configuration
// can have.
var methods = []string{
	"-g -w 1", "-m -w 1", "-i -w 1",
	"-i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum", "-i -w 1 --tun-type gue --tun-port 6081 --tun-csum",
	"-i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
	"-i -w 1 --tun-type gre --tun-nocsum", "-i -w 1 --tun-type gre --tun-csum",
}

// refusal is a table that lvs.VirtualService.Validate refuses.
type refusal struct {
	text string
	// change makes a change that no text in ipvsadm syntax can have. It can be nil.
	change func(*lvs.VirtualService)
}

func refusals() []refusal {
	const web, dest = "-A -t 192.0.2.10:80 -s wrr", "-A -t 192.0.2.10:80 -s wrr;-a -t 192.0.2.10:80 -r "
	return []refusal{
		{dest + "[2001:db8::21]:80 -g -w 1", nil}, {dest + "[2001:db8::21]:80 -m -w 1", nil},
		{"-A -f 5 -6 -s wrr;-a -f 5 -6 -r 192.0.2.21:0 -g -w 1", nil},
		{dest + "192.0.2.21:80 -g -w 65535", func(v *lvs.VirtualService) { v.Destinations[0].Weight++ }},
		{dest + "192.0.2.21:8080 -g -w 1", nil}, {dest + "192.0.2.21:8080 -i -w 1", nil},
		{dest + "192.0.2.21:80 -g -w 1 -x 5 -y 9", nil}, {dest + "192.0.2.21:80 -g -w 1 -x 0 -y 9", nil},
		{dest + "192.0.2.21:80 -g -w 1 -x 2147483648 -y 0", nil}, {dest + "192.0.2.21:80 -g -w 1 -x 4294967295 -y 2147483648", nil},
		{web, func(v *lvs.VirtualService) { v.Scheduler = "none-such" }},
		{web + " -o", nil}, {"-A --sctp-service 192.0.2.10:80 -s wrr -o", nil},
		{web + " -p 600 --pe sip", nil}, {"-A -f 5 -s wrr --pe sip", nil},
		{"-A -t 192.0.2.10:0 -s wrr", nil},
		{web + " -p 600", func(v *lvs.VirtualService) { v.Persistence += lvs.MaxPersistence }},
		{dest + "192.0.2.21:80 -i -w 1 --tun-type gue", nil},
		{dest + "192.0.2.21:80 -i -w 1 --tun-type gre --tun-port 6080", nil},
		{dest + "192.0.2.21:80 -i -w 1 --tun-type gre --tun-remcsum", nil},
		{dest + "192.0.2.21:80 -i -w 1 --tun-type ipip --tun-csum", nil},
		{dest + "192.0.2.21:80 -g -w 1 --tun-type gre", nil},
		{dest + "224.0.0.1:80 -g -w 1", nil}, {dest + "255.255.255.255:80 -g -w 1", nil}, {dest + "0.0.0.0:80 -g -w 1", nil},
		{"-A -f 5 -6 -s wrr;-a -f 5 -6 -r [ff02::1]:0 -g -w 1", nil}, {"-A -f 5 -6 -s wrr;-a -f 5 -6 -r [fe80::21]:0 -g -w 1", nil},
	}
}

func parseRow(t *testing.T, text string) lvs.Table {
	t.Helper()
	table, err := lvs.ParseTable(strings.ReplaceAll(text, ";", "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func (r refusal) table(t *testing.T) lvs.Table {
	t.Helper()
	table := parseRow(t, r.text)
	if r.change != nil {
		r.change(&table[0])
	}
	return table
}

// The results of a row that the kernel handles completely, and of a row that needs a module which
// this kernel does not have.
const (
	accepted = "yes"
	absent   = "not in this kernel"
)

// TestKernelMatrix writes every row of the matrix, and reads it back with this package and with
// ipvsadm. It then changes the settings in place and back, and removes the row. A row must succeed,
// or the kernel must lack a module for it. If testdata/matrix has a file for this kernel, the
// results must also be the same as in the file.
func TestKernelMatrix(t *testing.T) {
	k := open(t)
	if _, err := exec.LookPath("ipvsadm"); err != nil {
		kerneltest.Need(t, "ipvsadm")
	}
	var results strings.Builder
	for _, text := range settings() {
		result := roundTrip(t, k, parseRow(t, text))
		fmt.Fprintf(&results, "%s\t%s\n", text, result)
		if result != accepted && result != absent {
			t.Errorf("%s: %s", text, result)
		}
	}
	for _, r := range refusals() {
		table := r.table(t)
		fmt.Fprintf(&results, "%s\t%s\n", oneLine(table), answer(t, k, table))
	}
	name := release(t) + ".txt"
	if *recordMatrix != "" {
		if err := os.WriteFile(filepath.Join(*recordMatrix, name), []byte(results.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(filepath.Join("testdata/matrix", name))
	switch {
	case errors.Is(err, os.ErrNotExist):
		t.Logf("testdata/matrix has no %s; the flag -record=DIR writes it", name)
	case err != nil:
		t.Fatal(err)
	case string(want) != results.String():
		t.Errorf("testdata/matrix/%s differs; got:\n%s", name, &results)
	}
}

// oneLine returns a table in one line.
func oneLine(table lvs.Table) string {
	return strings.ReplaceAll(strings.TrimSpace(table.String()), "\n", ";")
}

// release returns the version of the kernel, without its last number.
func release(t *testing.T) string {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	parts := strings.FieldsFunc(unix.ByteSliceToString(name.Release[:]), func(r rune) bool { return r == '.' || r == '-' })
	return parts[0] + "." + parts[1]
}

// roundTrip returns accepted, absent, or the step that failed and why.
func roundTrip(t *testing.T, k *ipvs.Kernel, want lvs.Table) string {
	t.Helper()
	if err := want.Validate(); err != nil {
		return "check: " + err.Error()
	}
	for _, step := range []struct {
		name    string
		table   lvs.Table
		inPlace bool
	}{{"write", want, false}, {"change", plain(want), true}, {"change back", want, true}, {"remove", nil, false}} {
		if err := become(t, k, step.table, lvs.ScopeOf(want), step.inPlace); err != nil {
			_ = become(t, k, nil, lvs.ScopeOf(want), false)
			if errors.Is(err, host.ErrNotInstalled) {
				return absent
			}
			return step.name + ": " + err.Error()
		}
	}
	return accepted
}

// plain returns a table with the same services and destinations, and with as many other settings as
// possible.
func plain(table lvs.Table) lvs.Table {
	var other lvs.Table
	for _, v := range table {
		one := lvs.VirtualService{Service: lvs.Service{ID: v.ID, Scheduler: "lc"}}
		if v.Scheduler == "lc" {
			one.Scheduler = "rr"
		}
		if !v.ID.IsMark() && v.ID.Addr.Port() == 0 {
			one.Persistence = time.Minute
		}
		for _, d := range v.Destinations {
			forward := lvs.Masq
			if d.Addr.Addr().Is6() != v.ID.Is6() {
				forward = lvs.Tunnel
			}
			one.Destinations = append(one.Destinations, lvs.Destination{Addr: d.Addr, Forward: forward, Weight: 7})
		}
		other = append(other, one)
	}
	return other
}

// become changes the kernel to a table. It returns an error unless this package and ipvsadm read
// the same table back.
func become(t *testing.T, k *ipvs.Kernel, want lvs.Table, scope lvs.Scope, inPlace bool) error {
	t.Helper()
	have, err := k.Table(t.Context())
	if err != nil {
		return err
	}
	ops := lvs.Plan(want, have, scope)
	for _, op := range ops {
		if inPlace && op.Verb != lvs.EditService && op.Verb != lvs.EditDestination {
			return fmt.Errorf("not in place: %s", op)
		}
	}
	if _, err := k.Apply(t.Context(), ops); err != nil {
		return err
	}
	if have, err = k.Table(t.Context()); err != nil {
		return err
	}
	if got, want := have.String(), sortedText(want); got != want {
		return fmt.Errorf("read back as %s", oneLine(have))
	}
	if got, want := withoutIPIP(kerneltest.Run(t, "ipvsadm -Sn")), withoutThresholds(have).String(); sortedLines(got) != sortedLines(want) {
		return fmt.Errorf("ipvsadm -Sn: %s; our text: %s", got, want)
	}
	return nil
}

// sortedText returns the text of a table, with the destinations in the order of Kernel.Table.
func sortedText(table lvs.Table) string {
	var text strings.Builder
	for _, v := range table {
		text.WriteString(lvs.Table{v.Read()}.String())
	}
	return text.String()
}

// sortedLines sorts lines, because ipvsadm has another order of services.
func sortedLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// withoutIPIP removes the option that ipvsadm 1.31 prints for the usual tunnel.
func withoutIPIP(text string) string { return strings.ReplaceAll(text, " --tun-type ipip", "") }

// withoutThresholds returns a table without thresholds, because ipvsadm -Sn does not print them.
func withoutThresholds(table lvs.Table) lvs.Table {
	for i := range table {
		for j := range table[i].Destinations {
			table[i].Destinations[j].Upper, table[i].Destinations[j].Lower = 0, 0
		}
	}
	return table
}

// answer returns what the kernel does with a table that Validate refuses.
func answer(t *testing.T, k *ipvs.Kernel, table lvs.Table) string {
	t.Helper()
	scope := lvs.ScopeOf(table)
	defer func() { _, _ = k.Apply(t.Context(), lvs.Plan(nil, table[:1], scope)) }()
	_, err := k.Apply(t.Context(), lvs.Plan(table, nil, scope))
	if errno := unix.Errno(0); errors.As(err, &errno) {
		return "refuses: " + errno.Error()
	}
	if errors.Is(err, host.ErrNotInstalled) {
		return "refuses: " + unix.ENOENT.Error()
	}
	if err != nil {
		return "refuses: " + err.Error()
	}
	have, err := k.Table(t.Context())
	switch {
	case err != nil:
		return err.Error()
	case have.String() == sortedText(table):
		return "stores it"
	}
	return "stores " + oneLine(have)
}

// TestGenerated writes the page of the matrix. It has one column for each file in testdata/matrix.
func TestGenerated(t *testing.T) { metadatatest.Golden(t, "docs/kernel-matrix.md", matrixPage(t)) }

const matrixIntro = `<!-- Generated from internal/kernel/ipvs/matrix_test.go and testdata/matrix by ` + "`make docs`" + `; do not edit. -->
# Settings of IPVS and kernels

The test ` + "`TestKernelMatrix`" + ` makes each row on each kernel. It writes the table, compares what the
kernel and ` + "`ipvsadm -Sn`" + ` report, changes every setting in place and back, and removes the table.

## Settings

*yes*: the kernel stores the setting as written, and changes it in place. *not in this kernel*: a
module is missing, and the error of start names it.

`

const refusalIntro = `
## Refused settings

` + "`lvsctl check`, `validate-all`, start and reload" + ` refuse these settings before the kernel gets them. The
second column has the reason; for a value in a file or a parameter, the words can differ. The other
columns show what the kernel does with the setting. In a file, two of them are only a warning,
because ldirectord accepts them: ` + "`ops`" + ` of a tcp service has no effect, and another port of a real
server without masq is only the port that is checked.

`

func matrixPage(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("testdata/matrix/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	var kernels []string
	var results []map[string]string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		of := map[string]string{}
		for line := range strings.Lines(string(text)) {
			row, result, _ := strings.Cut(strings.TrimSpace(line), "\t")
			of[row] = result
		}
		kernels = append(kernels, "Linux "+strings.TrimSuffix(filepath.Base(file), ".txt"))
		results = append(results, of)
	}
	columns := func(row string) string {
		var b strings.Builder
		for _, of := range results {
			fmt.Fprintf(&b, " %s |", cmp.Or(of[row], "–"))
		}
		return b.String() + "\n"
	}
	head := func(first string) string {
		return "| " + first + " | " + strings.Join(kernels, " | ") + " |\n|" + strings.Repeat("---|", strings.Count(first, "|")+1+len(kernels)) + "\n"
	}
	b := matrixIntro + head("setting")
	for _, row := range settings() {
		b += "| " + code(row) + " |" + columns(row)
	}
	b += refusalIntro + head("setting | message")
	for _, r := range refusals() {
		table := r.table(t)
		err := table.Validate()
		if err == nil {
			t.Errorf("%s is not refused", r.text)
			continue
		}
		b += fmt.Sprintf("| %s | %s |", code(oneLine(table)), err) + columns(oneLine(table))
	}
	return b
}

func code(row string) string { return "`" + strings.ReplaceAll(row, ";", "`<br>`") + "`" }
