package top

import (
	"errors"
	"fmt"
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
