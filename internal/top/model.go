package top

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"lvs-agents/internal/lvs"
)

// period is the time between two reads.
const period = time.Second

// mode is what the keys do.
type mode int

const (
	browsing   mode = iota
	filtering       // The keys change the filter.
	reading         // The screen has a text.
	weighing        // The keys are the digits of a weight.
	confirming      // A y gives the order.
)

// Model is the state of the view. It implements tea.Model.
type Model struct {
	source  Source
	now     time.Time
	begun   time.Time // begun is when the read that runs began. It is zero if none runs.
	updated bool      // updated says that a read has ended.
	state   State
	total   summary
	history history

	width, height int
	mode          mode
	orders        []order
	column        int // column is the index of the order of the list.
	reverse       bool
	filter        string
	lines         []line
	longest       int  // longest is the length of the longest address in lines.
	cursor, first int  // cursor and first are indexes of lines: the selected and the first visible one.
	chosen        key  // chosen is the key of the line that the operator has selected.
	lost          bool // lost says that lines do not have it.

	text     []string // text is what the mode reading shows.
	topic    string   // topic is the title of text.
	scrolled int      // scrolled is the number of the first visible line of text.

	armed   bool // armed says that the keys for orders work.
	pending Order
	digits  string
	running bool   // running says that an order has not been answered yet.
	message string // message is the result of the last key.
}

// New returns the view of a source before its first read.
func New(s Source) *Model {
	return &Model{source: s, width: 80, height: 24, orders: orders()}
}

type (
	tickMsg  time.Time
	readMsg  State
	textMsg  struct{ topic, text string }
	givenMsg struct {
		order Order
		err   error
	}
)

// Init starts the clock.
func (m *Model) Init() tea.Cmd {
	return tea.Tick(time.Millisecond, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// Update changes the view after a key, a read, or another event.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tickMsg:
		return m, m.tick(time.Time(msg))
	case readMsg:
		m.begun, m.updated, m.state = time.Time{}, true, State(msg)
		m.total = summed(m.state.Services)
		m.history.add(m.state.Services)
		m.arrange()
	case textMsg:
		if m.mode == reading && m.topic == msg.topic {
			m.text = strings.Split(strings.TrimRight(msg.text, "\n"), "\n")
		}
	case givenMsg:
		m.running, m.message = false, msg.order.String()+": done"
		if msg.err != nil {
			m.message = msg.order.String() + ": " + msg.err.Error()
		}
	case tea.PasteMsg:
		if m.mode == filtering {
			m.filter += msg.Content
			m.arrange()
		}
	case tea.KeyPressMsg:
		return m, m.press(msg)
	}
	return m, nil
}

// tick starts the next read if none runs.
func (m *Model) tick(now time.Time) tea.Cmd {
	m.now = now
	next := tea.Tick(period, func(t time.Time) tea.Msg { return tickMsg(t) })
	if !m.begun.IsZero() {
		return next
	}
	m.begun = now
	read := m.source.Read
	return tea.Batch(next, func() tea.Msg { return readMsg(read()) })
}

// arrange lists the state again. The selected line stays selected. While it is not in the list, no
// line is selected until the next key.
func (m *Model) arrange() {
	m.lines = list(m.state.Services, m.filter, m.orders[m.column], m.reverse)
	m.longest = 0
	for _, l := range m.lines {
		if l.server != nil {
			m.longest = max(m.longest, len(l.server.Addr))
		}
	}
	i := slices.IndexFunc(m.lines, func(l line) bool { return l.key() == m.chosen })
	if m.lost = i < 0; !m.lost {
		m.cursor = i
	}
	m.cursor = max(0, min(m.cursor, len(m.lines)-1))
	if m.chosen == (key{}) {
		m.move(0)
	}
}

// selected returns the selected line. ok is false if no line is selected.
func (m *Model) selected() (l line, ok bool) {
	if m.lost || m.cursor >= len(m.lines) {
		return line{}, false
	}
	return m.lines[m.cursor], true
}

func (m *Model) move(by int) {
	m.cursor = max(0, min(m.cursor+by, len(m.lines)-1))
	if m.cursor < len(m.lines) {
		m.chosen, m.lost = m.lines[m.cursor].key(), false
	}
}

// press carries a key out.
func (m *Model) press(key tea.KeyPressMsg) tea.Cmd {
	m.message = ""
	if key.String() == "ctrl+c" {
		return tea.Quit
	}
	switch m.mode {
	case filtering:
		m.pressFilter(key)
	case reading:
		m.pressReading(key.String())
	case weighing:
		m.pressWeight(key)
	case confirming:
		return m.pressConfirm(key.String())
	default:
		return m.pressBrowsing(key.String())
	}
	return nil
}

func (m *Model) pressBrowsing(key string) tea.Cmd {
	if by, moves := m.steps(m.rows())[key]; moves {
		m.move(by)
		return nil
	}
	switch key {
	case "q":
		return tea.Quit
	case "<":
		m.column = max(0, m.column-1)
	case ">":
		m.column = min(m.column+1, len(m.orders)-1)
	case "r":
		m.reverse = !m.reverse
	case "/":
		m.mode = filtering
	case "esc":
		m.filter = ""
	case "?":
		m.mode, m.topic, m.scrolled, m.text = reading, "keys", 0, help()
	case "enter":
		return m.explain()
	case "!":
		m.armed = !m.armed
	case "d", "m", "u", "U", "w":
		m.order(key)
	}
	m.arrange()
	m.move(0)
	return nil
}

// steps returns by how many lines each key moves, if page lines are visible.
func (m *Model) steps(page int) map[string]int {
	const end = 1 << 30
	return map[string]int{
		"up": -1, "k": -1, "down": 1, "j": 1, "pgup": -page, "pgdown": page, "home": -end, "end": end,
	}
}

func (m *Model) pressFilter(key tea.KeyPressMsg) {
	switch key.String() {
	case "enter":
		m.mode = browsing
	case "esc":
		m.mode, m.filter = browsing, ""
	case "backspace":
		runes := []rune(m.filter)
		m.filter = string(runes[:max(0, len(runes)-1)])
	default:
		m.filter += key.Text
	}
	m.arrange()
	m.move(0)
}

func (m *Model) pressReading(key string) {
	if by, moves := m.steps(m.height - 2)[key]; moves {
		m.scrolled = max(0, min(m.scrolled+by, len(m.wrapped())-(m.height-2)))
		return
	}
	if slices.Contains([]string{"esc", "enter", "q", "?"}, key) {
		m.mode = browsing
	}
}

// explain reads the explanation of the selected line.
func (m *Model) explain() tea.Cmd {
	l, ok := m.selected()
	if !ok {
		return nil
	}
	k := l.key()
	if k.fallback {
		k.server = ""
	}
	topic := strings.TrimSpace(k.server + " " + k.service)
	m.mode, m.topic, m.scrolled, m.text = reading, topic, 0, []string{"reading the explanation"}
	explain := m.source.Explain
	return func() tea.Msg { return textMsg{topic, explain(k.service, k.server)} }
}

// order begins an order for the selected real server.
func (m *Model) order(key string) {
	l, ok := m.selected()
	switch {
	case !m.armed:
		m.message = "orders are off; the key ! turns them on"
	case m.running:
		m.message = "the last order has no answer yet"
	case !ok || l.server == nil || l.key().fallback:
		m.message = "orders are for real servers; select one"
	default:
		kinds := map[string]string{"d": "drain", "m": "maint", "u": "undrain", "U": "ready", "w": "weight"}
		m.pending = Order{Kind: kinds[key], Service: l.service.ID, Server: l.server.Addr}
		m.mode, m.digits = confirming, ""
		if key == "w" {
			m.mode = weighing
		}
	}
}

func (m *Model) pressWeight(key tea.KeyPressMsg) {
	switch text := key.String(); {
	case text == "enter":
		weight, err := strconv.Atoi(m.digits)
		if err != nil || weight > lvs.MaxWeight {
			m.mode, m.message = browsing, fmt.Sprintf("a weight is between 0 and %d", lvs.MaxWeight)
			return
		}
		m.mode, m.pending.Weight = confirming, weight
	case text == "backspace":
		m.digits = m.digits[:max(0, len(m.digits)-1)]
	case len(text) == 1 && text >= "0" && text <= "9":
		m.digits += text
	default:
		m.mode, m.message = browsing, "no order given"
	}
}

func (m *Model) pressConfirm(key string) tea.Cmd {
	m.mode = browsing
	if key != "y" {
		m.message = "no order given"
		return nil
	}
	m.running = true
	order, give := m.pending, m.source.Give
	return func() tea.Msg { return givenMsg{order, give(order)} }
}

// String returns the order in words.
func (o Order) String() string {
	kind := o.Kind
	if kind == "weight" {
		kind = fmt.Sprintf("weight %d", o.Weight)
	}
	return fmt.Sprintf("%s %s of %s", kind, o.Server, o.Service)
}
