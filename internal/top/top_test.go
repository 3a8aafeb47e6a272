package top

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/control"
)

func example() State {
	return State{Daemons: 2, Troubles: []string{"directord mail has not replied for 800ms"}, Services: []Service{
		{Daemon: "web", ID: "-t 192.0.2.10:80", Title: "TCP  192.0.2.10:80 wrr", Servers: []Server{
			{Addr: "127.0.0.1:80", Weights: "0/1", Verdict: fallback, Traffic: &control.Traffic{}},
			{Addr: "192.0.2.21:80", Weight: 100, Weights: "100", Verdict: "good", Age: 26 * time.Hour, Aged: true, Traffic: &control.Traffic{Active: 123456, Inactive: 40, ConnRate: 7, InRate: 1200, OutRate: 3_456_789}},
			{Addr: "192.0.2.22:80", Weights: "0/100", Verdict: "bad", Age: 65 * time.Second, Aged: true, Reason: "connect to 192.0.2.22:80: connection refused", Traffic: &control.Traffic{Active: 3}},
			{Addr: "192.0.2.23:80", Weight: -1, Weights: "out/1", Verdict: "unknown"},
		}},
		{Daemon: "web", ID: "-f 7", Title: "FWM  7 rr", Reason: "not balanced: resource web was stopped; start it", Servers: []Server{
			{Addr: "[2001:db8::21]:80", Weight: 1, Weights: "?", Verdict: "good", Age: 2 * time.Hour, Aged: true, Traffic: &control.Traffic{Active: 5, ConnRate: 9}},
		}},
	}}
}

// fake is a source that keeps the orders.
type fake struct {
	state  State
	orders []Order
	refuse error
}

func (f *fake) source() Source {
	return Source{
		Host: "director1",
		Read: func() State { return f.state },
		Give: func(o Order) error {
			f.orders = append(f.orders, o)
			return f.refuse
		},
		Explain: func(service, server string) string { return "why " + service + " " + server + "\nline 2\n" },
	}
}

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// opened returns the view of a source after a read.
func opened(f *fake) *Model {
	m := New(f.source())
	m.Update(tickMsg(began))
	m.Update(readMsg(f.state))
	return m
}

// press presses keys, and delivers what a key has started. A key is a character or a name.
func press(m *Model, keys ...string) (quit bool) {
	names := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "end": tea.KeyEnd, "home": tea.KeyHome, "backspace": tea.KeyBackspace}
	for _, k := range keys {
		msg := tea.KeyPressMsg{Code: names[k]}
		if msg.Code == 0 {
			msg = tea.KeyPressMsg{Code: []rune(k)[0], Text: k}
		}
		if _, cmd := m.Update(msg); cmd != nil {
			result := cmd()
			_, quit = result.(tea.QuitMsg)
			m.Update(result)
		}
	}
	return quit
}

func screen(t *testing.T, m *Model) string {
	t.Helper()
	text := m.View().Content
	lines := strings.Split(text, "\n")
	if len(lines) != m.height {
		t.Errorf("%d lines on a screen of %d", len(lines), m.height)
	}
	for _, l := range lines {
		if n := utf8.RuneCountInString(l); n > m.width {
			t.Errorf("%d columns on a screen of %d: %q", n, m.width, l)
		}
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

func shows(t *testing.T, m *Model, texts ...string) {
	t.Helper()
	got := screen(t, m)
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("no %q on the screen:\n%s", text, got)
		}
	}
}

const wholeScreen = `
lvsctl top on director1 at 03:04:05: 2 daemons, 2 services, 4 real servers
2 good, 1 bad, 1 unknown; 123K active, 40 inactive; 16 conn/s, 1200 in/s, 3.5M …
sort: server  orders: off  keys: ?
directord mail has not replied for 800ms
 SERVER               WEIGHT VERDICT SINCE ACTIV INACT CONN/S  IN/S OUT/S TREND
 TCP  192.0.2.10:80 wrr      1/3 good       123K    40      7  1200  3.5M      █
  127.0.0.1:80        0/1    fallback          0     0      0     0     0      ▁
  192.0.2.21:80       100    good 1d        123K    40      7  1200  3.5M      █
> 192.0.2.22:80       0/100  bad 1m05s         3     0      0     0     0      ▁
  192.0.2.23:80       out/1  unknown           -     -      -     -     -
 FWM  7 rr                   1/1 good  not balanced: resource web was stopped; …
  [2001:db8::21]:80   ?      good 2h00m        5     0      9     0     0      █











connect to 192.0.2.22:80: connection refused`

func TestScreen(t *testing.T) {
	m := opened(&fake{state: example()})
	press(m, "down", "down", "down")
	if diff := cmp.Diff(strings.TrimPrefix(wholeScreen, "\n"), screen(t, m)); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, screen(t, m))
	}
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil || !strings.Contains(string(page), wholeScreen) {
		t.Errorf("docs/monitoring.md does not have this screen: %v", err)
	}
	press(m, "!")
	shows(t, m, "sort: server  orders: ON  keys: ?")
	m.Update(tea.WindowSizeMsg{Width: 140, Height: 20})
	shows(t, m, " ▁ connect to 192.0.2.22:80: connection re…", "█ not balanced: resource web was stopped;…")
	m.Update(tea.WindowSizeMsg{Width: 30, Height: 5})
	shows(t, m, "sort: server")
	m.Update(tea.WindowSizeMsg{Width: 1, Height: 1})
	screen(t, m)
}

// listed returns the first words of the lines of the list.
func listed(m *Model) (names []string) {
	for _, l := range m.lines {
		if l.server == nil {
			names = append(names, l.service.ID)
			continue
		}
		names = append(names, l.server.Addr)
	}
	return names
}

func TestSort(t *testing.T) {
	m := opened(&fake{state: example()})
	const web, mark = "-t 192.0.2.10:80", "-f 7"
	const spare, first, second, third, six = "127.0.0.1:80", "192.0.2.21:80", "192.0.2.22:80", "192.0.2.23:80", "[2001:db8::21]:80"
	for _, step := range []struct {
		key, name string
		want      []string
	}{
		{"<", "server", []string{web, spare, first, second, third, mark, six}},
		{"r", "server, reversed", []string{mark, six, web, third, second, first, spare}},
		{"r", "server", []string{web, spare, first, second, third, mark, six}},
		{">", "weight", []string{web, first, spare, second, third, mark, six}},
		{">", "verdict", []string{web, second, third, spare, first, mark, six}},
		{">", "since", []string{web, second, first, spare, third, mark, six}},
		{">", "active", []string{web, first, second, spare, third, mark, six}},
		{">", "inact", []string{web, first, spare, second, third, mark, six}},
		{">", "conn/s", []string{mark, six, web, first, spare, second, third}},
		{">", "in/s", []string{web, first, spare, second, third, mark, six}},
		{">", "out/s", []string{web, first, spare, second, third, mark, six}},
		{">", "out/s", []string{web, first, spare, second, third, mark, six}},
		{"r", "out/s, reversed", []string{web, third, spare, second, first, mark, six}},
	} {
		press(m, step.key)
		shows(t, m, "sort: "+step.name+"  orders")
		if diff := cmp.Diff(step.want, listed(m)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestSelectionStaysAtItsServer(t *testing.T) {
	f := &fake{state: example()}
	m := opened(f)
	press(m, "down", "down", ">", ">", ">", ">", ">", ">", "r")
	shows(t, m, "\n> 192.0.2.21:80 ")
	next := example()
	next.Services = append([]Service{{ID: "-f 1", Title: "FWM  1 rr"}}, next.Services...)
	m.Update(readMsg(next))
	shows(t, m, "\n> 192.0.2.21:80 ")
	m.Update(readMsg(State{}))
	press(m, "up", "down", "enter", "d")
	shows(t, m, "0 daemons, 0 services, 0 real servers")
}

func TestFilter(t *testing.T) {
	m := opened(&fake{state: example()})
	for _, test := range []struct {
		text string
		want []string
	}{
		{"REFUSED", []string{"-t 192.0.2.10:80", "192.0.2.22:80"}},
		{"fwm", []string{"-f 7", "[2001:db8::21]:80"}},
		{"stopped", []string{"-f 7", "[2001:db8::21]:80"}},
		{"unknown", []string{"-t 192.0.2.10:80", "192.0.2.23:80"}},
		{"nothing", nil},
	} {
		press(m, append([]string{"/"}, strings.Split(test.text, "")...)...)
		shows(t, m, "filter: "+test.text+"_")
		press(m, "q", "backspace", "enter")
		shows(t, m, "keys: ?  filter: "+test.text)
		if diff := cmp.Diff(test.want, listed(m)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
		if press(m, "esc"); len(m.lines) != 7 {
			t.Errorf("%s stays after esc: %q", test.text, listed(m))
		}
	}
	press(m, "/", "x")
	m.Update(tea.PasteMsg{Content: "y\x1b[2J\nz"})
	shows(t, m, `filter: xy\u001b[2J\u000az_`)
	if press(m, "esc"); m.filter != "" || m.mode != browsing {
		t.Errorf("%q %d", m.filter, m.mode)
	}
}

func TestQuit(t *testing.T) {
	for _, keys := range [][]string{{"q"}, {"?", "q", "q"}} {
		if m := opened(&fake{state: example()}); !press(m, keys...) {
			t.Errorf("%q does not quit", keys)
		}
	}
	m := opened(&fake{})
	press(m, "/")
	_, cmd := m.Update(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl})
	if _, quit := cmd().(tea.QuitMsg); !quit {
		t.Error("ctrl+c does not quit")
	}
}

func TestBytesOfServersAreInert(t *testing.T) {
	const bad = "a\x1b]0;x\x07\x1b[2J\r\n\u009b31m\xff\u202e"
	f := &fake{state: State{Daemons: 1, Troubles: []string{bad}, Services: []Service{
		{ID: bad, Daemon: bad, Title: bad, Reason: bad, Servers: []Server{{Addr: bad, Weights: bad, Verdict: bad, Reason: bad, Aged: true}}},
	}}, refuse: errors.New(bad)}
	source := f.source()
	source.Host, source.Colour, source.Explain = bad, true, func(string, string) string { return bad + "\n" + bad }
	m := New(source)
	check := func(place string) {
		t.Helper()
		text := strings.NewReplacer("\x1b[31m", "", "\x1b[7m", "", "\x1b[m", "").Replace(m.View().Content)
		if strings.ContainsAny(text, "\x1b\r\x07\u009b\u202e") || strings.Count(text, "\n") != 23 {
			t.Errorf("%s: %q", place, text)
		}
	}
	check("before the first read")
	m.Update(tickMsg(began))
	m.Update(readMsg(f.state))
	check("service")
	m.Update(tea.WindowSizeMsg{Width: 250, Height: 24})
	check("wide")
	press(m, "down")
	check("real server")
	press(m, "!", "d")
	check("question")
	press(m, "y")
	check("refusal")
	press(m, "w", "1")
	check("weight")
	press(m, "esc", "enter")
	check("explanation")
}

func TestThousandsOfServers(t *testing.T) {
	var s State
	for i := range 100 {
		service := Service{ID: fmt.Sprint("-f ", i), Title: fmt.Sprint("FWM  ", i)}
		for j := range 100 {
			service.Servers = append(service.Servers, Server{Addr: fmt.Sprintf("10.0.%d.%d:80", i, j), Verdict: "good"})
		}
		s.Services = append(s.Services, service)
	}
	m := opened(&fake{state: s})
	shows(t, m, "100 services, 10000 real servers", "\n>FWM  0", "\n  10.0.0.17:80")
	press(m, "pgdown", "down")
	shows(t, m, "\n> 10.0.0.19:80")
	press(m, "end")
	shows(t, m, "\n> 10.0.99.99:80")
	if press(m, "up"); m.first == m.cursor {
		t.Error("the list scrolls without need")
	}
	if n := testing.AllocsPerRun(5, func() { m.View() }); n > 1500 {
		t.Errorf("%.0f allocations for a screen of 24 lines", n)
	}
}

func TestOrders(t *testing.T) {
	const off, where, question = "orders are off; the key ! turns them on", "orders are for real servers; select one", "? y gives the order, every other key does not"
	const service, server = "-t 192.0.2.10:80", "192.0.2.21:80"
	order := func(kind string, weight int) []Order { return []Order{{kind, service, server, weight}} }
	for _, test := range []struct {
		keys, footer string
		want         []Order
	}{
		{"down down d", off, nil},
		{"down down d y", "", nil},
		{"down down ! ! w", off, nil},
		{"down down ! ! w 5 enter y", "", nil},
		{"! d y", "", nil},
		{"down ! d", where, nil},
		{"! d", where, nil},
		{"! down down d", "drain " + server + " of " + service + question, nil},
		{"! down down d n", "no order given", nil},
		{"! down down d enter", "no order given", nil},
		{"! down down d Y", "no order given", nil},
		{"! down down d esc y", "", nil},
		{"! down down d y", "drain " + server + " of " + service + ": done", order("drain", 0)},
		{"! down down d y y", "", order("drain", 0)},
		{"! down down m y", "maint " + server + " of " + service + ": done", order("maint", 0)},
		{"! down down u y", "undrain " + server + " of " + service + ": done", order("undrain", 0)},
		{"! down down U y", "ready " + server + " of " + service + ": done", order("ready", 0)},
		{"! down down w 1 2 backspace y", "no order given", nil},
		{"! down down w 1 2", "weight of " + server + " of " + service + ": 12_", nil},
		{"! down down w 1 2 enter", "weight 12 " + server + " of " + service + question, nil},
		{"! down down w 1 2 enter enter", "no order given", nil},
		{"! down down w 1 2 enter y", "weight 12 " + server + " of " + service + ": done", order("weight", 12)},
		{"! down down w 6 5 5 3 6 enter y", "", nil},
		{"! down down w 6 5 5 3 6 enter", "a weight is between 0 and 65535", nil},
		{"! down down w enter", "a weight is between 0 and 65535", nil},
		{"! down down ! d", off, nil},
	} {
		f := &fake{state: example()}
		m := opened(f)
		press(m, strings.Fields(test.keys)...)
		if diff := cmp.Diff(test.want, f.orders); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.keys, diff)
		}
		if got := m.View().Content; test.footer != "" && !strings.HasSuffix(got, "\n"+strings.Join(wrap(test.footer, m.width), "\n")) {
			t.Errorf("%s: %q, want %q", test.keys, got, test.footer)
		}
	}
}

func TestRefusedOrder(t *testing.T) {
	m := opened(&fake{state: example(), refuse: errors.New("directord web: no real server serves afterwards; use --force")})
	press(m, "down", "down", "!", "m", "y")
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 24})
	shows(t, m, "\nmaint 192.0.2.21:80 of -t 192.0.2.10:80: directord web: no real server serves afterwards; use --force")
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 12})
	shows(t, m, "\n> 192.0.2.21:80 ", "\nmaint 192.0.2.21:80 of -t 192.0.2.10:80: directord web: no\nreal server serves afterwards; use --force")
	press(m, "end")
	if text := screen(t, m); strings.Contains(text, "--force") {
		t.Errorf("the result stays after the next key:\n%s", text)
	}
}

func TestOnlyOneOrderRuns(t *testing.T) {
	f := &fake{state: example()}
	m := opened(f)
	press(m, "down", "down", "!", "d")
	_, give := m.Update(tea.KeyPressMsg{Code: 'y', Text: "y"})
	shows(t, m, "\ndrain 192.0.2.21:80 of -t 192.0.2.10:80: no answer yet")
	press(m, "m")
	shows(t, m, "\nthe last order has no answer yet")
	m.Update(give())
	shows(t, m, "\ndrain 192.0.2.21:80 of -t 192.0.2.10:80: done")
	if press(m, "m", "y"); len(f.orders) != 2 {
		t.Errorf("%+v", f.orders)
	}
}

func TestOrderStaysAtItsServer(t *testing.T) {
	f := &fake{state: example()}
	m := opened(f)
	press(m, "down", "down", "!", "d")
	next := example()
	next.Services[0].Servers = next.Services[0].Servers[2:]
	m.Update(readMsg(next))
	press(m, "y")
	if want := []Order{{Kind: "drain", Service: "-t 192.0.2.10:80", Server: "192.0.2.21:80"}}; cmp.Diff(want, f.orders) != "" {
		t.Errorf("%+v", f.orders)
	}
}

func TestServerThatIsMissingForATimeStaysSelected(t *testing.T) {
	f := &fake{state: example()}
	m := opened(f)
	press(m, "down", "down", "!")
	next := example()
	next.Services[0].Servers = next.Services[0].Servers[2:]
	m.Update(readMsg(next))
	if text := screen(t, m); strings.Contains(text, "\n>") {
		t.Errorf("another line is selected:\n%s", text)
	}
	m.Update(readMsg(example()))
	shows(t, m, "\n> 192.0.2.21:80 ")
	m.Update(readMsg(next))
	press(m, "d")
	shows(t, m, "\norders are for real servers; select one", "\n> 192.0.2.23:80 ")
	if press(m, "y"); len(f.orders) > 0 {
		t.Errorf("%+v", f.orders)
	}
}

func TestPasteGivesNoOrder(t *testing.T) {
	f := &fake{state: example()}
	m := opened(f)
	press(m, "down", "down", "!")
	for range 2 {
		m.Update(tea.PasteMsg{Content: "dy"})
		press(m, "d")
		m.Update(tea.PasteMsg{Content: "y"})
		press(m, "esc")
	}
	if len(f.orders) > 0 {
		t.Errorf("%+v", f.orders)
	}
}

func TestExplain(t *testing.T) {
	m := opened(&fake{state: example()})
	for _, test := range []struct{ keys, title, text string }{
		{"enter", "-t 192.0.2.10:80", "why -t 192.0.2.10:80 "},
		{"down down enter", "192.0.2.21:80 -t 192.0.2.10:80", "why -t 192.0.2.10:80 192.0.2.21:80"},
		{"up enter", "-t 192.0.2.10:80", "why -t 192.0.2.10:80 "},
	} {
		press(m, strings.Fields(test.keys)...)
		want := test.title + "\n" + strings.TrimRight(test.text, " ") + "\nline 2" + strings.Repeat("\n", 21) + "esc: back"
		if diff := cmp.Diff(want, screen(t, m)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.keys, diff)
		}
		press(m, "esc")
		shows(t, m, "SERVER")
	}
}

func TestLateExplanationIsForItsServer(t *testing.T) {
	m := opened(&fake{state: example()})
	_, first := m.Update(tea.KeyPressMsg{Code: tea.KeyEnter})
	shows(t, m, "reading the explanation")
	press(m, "esc", "down", "down")
	_, second := m.Update(tea.KeyPressMsg{Code: tea.KeyEnter})
	m.Update(first())
	shows(t, m, "192.0.2.21:80 -t 192.0.2.10:80\nreading the explanation")
	m.Update(second())
	shows(t, m, "why -t 192.0.2.10:80 192.0.2.21:80")
}

func TestLongTextIsWrappedAndScrolls(t *testing.T) {
	f := &fake{state: example()}
	source := f.source()
	source.Explain = func(string, string) string {
		text := strings.Repeat("x", 100) + "\n"
		for i := range 40 {
			text += fmt.Sprintln("line", i)
		}
		return text
	}
	m := New(source)
	m.Update(readMsg(f.state))
	press(m, "enter")
	shows(t, m, "\n"+strings.Repeat("x", 80)+"\n"+strings.Repeat("x", 20)+"\nline 0\n", "\nline 19\nesc: back; up and down: scroll")
	press(m, "down", "pgdown")
	shows(t, m, "\nline 20\nline 21")
	press(m, "end", "down")
	shows(t, m, "\nline 39\nesc: back")
	press(m, "home", "up")
	shows(t, m, "\nxxx")
}

func TestHelp(t *testing.T) {
	m := opened(&fake{state: example()})
	press(m, "?")
	shows(t, m, "keys\nup down pgup pgdn ", "\nesc: back")
	m.Update(tea.WindowSizeMsg{Width: 40, Height: 8})
	press(m, "end")
	shows(t, m, "highest connection rate in 5 seconds.")
	press(m, "?")
	shows(t, m, "SERVER")
}

func TestReadThatDoesNotEnd(t *testing.T) {
	m := New((&fake{}).source())
	shows(t, m, "lvsctl top on director1: reading the state")
	m.Update(tickMsg(began))
	m.Update(tickMsg(began.Add(time.Second)))
	shows(t, m, "lvsctl top on director1: reading the state\nthe state is old: its read has not ended for 1s")
	m.Update(readMsg(example()))
	shows(t, m, "at 03:04:06: 2 daemons")
	m.Update(tickMsg(began.Add(2 * time.Second)))
	m.Update(tickMsg(began.Add(5 * time.Second)))
	shows(t, m, "at 03:04:10: 2 daemons", "\nthe state is old: its read has not ended for 3s\ndirectord mail has not replied for 800ms\n")
	many := State{Troubles: []string{"trouble 1", "trouble 2", "trouble 3", "trouble 4", "trouble 5"}}
	m.Update(readMsg(many))
	shows(t, m, "\ntrouble 3\nand 2 more troubles\n SERVER")
}

func TestTrend(t *testing.T) {
	m := New((&fake{}).source())
	server := Server{Addr: "192.0.2.21:80", Verdict: "good"}
	for _, rate := range []uint32{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 70, 100, 70, 70, 70, 50} {
		server.Traffic = &control.Traffic{ConnRate: rate}
		m.Update(readMsg(State{Services: []Service{{ID: "-f 7", Title: "FWM  7 rr", Servers: []Server{server}}}}))
	}
	shows(t, m, " 50     0     0   ▁▂█▅\n")
	m.Update(readMsg(State{}))
	if len(m.history.rates) > 0 {
		t.Errorf("it keeps the rates of a server that is gone: %v", m.history.rates)
	}
}

func TestNumbersFitTheirColumns(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 99_999: "99999", 100_000: "100K", 999_499: "999K", 999_500: "1.0M", 4_294_967_295: "4.3G", 18_446_744_073_709_551_615: "18E"} {
		if got := short(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for seconds, want := range map[int]string{0: "0s", 59: "59s", 60: "1m00s", 3599: "59m59s", 3600: "1h00m", 86399: "23h59m", 86400: "1d", 86400 * 99999: "99999d"} {
		if got := age(time.Duration(seconds) * time.Second); got != want {
			t.Errorf("%d: %s, want %s", seconds, got, want)
		}
	}
}

func TestColours(t *testing.T) {
	for _, colour := range []bool{false, true} {
		source := (&fake{}).source()
		source.Colour = colour
		m := New(source)
		m.Update(readMsg(example()))
		if text := m.View().Content; strings.Contains(text, "\x1b") != colour || strings.Contains(text, "\x1b[31mbad 1m05s    \x1b[m ") != colour {
			t.Errorf("colour %t: %q", colour, text)
		}
	}
}

// untilShown is an output that calls seen once, after it has got a text.
type untilShown struct {
	text string
	seen func()
	got  strings.Builder
}

func (u *untilShown) Write(p []byte) (int, error) {
	u.got.Write(p)
	if u.seen != nil && strings.Contains(u.got.String(), u.text) {
		u.seen()
		u.seen = nil
	}
	return len(p), nil
}

func TestRunLeavesTheTerminal(t *testing.T) {
	for _, way := range []string{"key", "end of the context"} {
		ctx, end := context.WithTimeout(t.Context(), 20*time.Second)
		in, keys, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		out := &untilShown{text: "\x1b[?1049h", seen: func() {
			if way == "key" {
				if _, err := keys.WriteString("q"); err != nil {
					t.Error(err)
				}
				return
			}
			end()
		}}
		if err := Run(ctx, (&fake{state: example()}).source(), in, out); err != nil {
			t.Errorf("%s: %v", way, err)
		}
		if way == "key" && ctx.Err() != nil || !strings.Contains(out.got.String(), "\x1b[?1049l") {
			t.Errorf("%s: it does not end, or the terminal does not get its old screen back: %q", way, out.got.String())
		}
		end()
		_ = keys.Close()
		_ = in.Close()
	}
}
