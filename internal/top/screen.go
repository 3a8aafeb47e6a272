package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"lvs-agents/internal/plain"
)

// help returns the text of the key ?.
func help() (lines []string) {
	for _, k := range [][2]string{
		{"up down pgup pgdn", "select a line; also k, j, home and end"},
		{"enter", "explain the selected line"},
		{"< >", "sort by the column to the left or to the right"},
		{"r", "reverse the list"},
		{"/", "show only lines that contain a text; esc shows all"},
		{"!", "turn the keys for orders on or off"},
		{"d", "drain the real server"},
		{"m", "drain it, and mark it as in maintenance"},
		{"u", "end drain or maint"},
		{"U", "end all orders"},
		{"w", "replace the configured weight"},
		{"?", "show this text"},
		{"q", "quit"},
	} {
		lines = append(lines, fmt.Sprintf("%-19s %s", k[0], k[1]))
	}
	return append(lines, "",
		"Each order wants a y. The daemon refuses an order after which no real server",
		"of the service serves. lvsctl drain --force gives it anyway.",
		"",
		"Rates are averages of the kernel, for one second. A bar of the trend is the",
		"highest connection rate in 5 seconds.")
}

const (
	// mostTroubles is how many troubles are shown.
	mostTroubles = 3
	// base is the width of a screen without reasons.
	base = 80
	// shortest is the width of the shortest column of reasons.
	shortest = 12
)

// columns are the widths of the columns that depend on the width of the screen.
type columns struct{ server, history, reason int }

// columns gives the columns that need it the width beyond 80.
func (m *Model) columns() columns {
	c, spare := columns{server: 21, history: 6}, max(0, m.width-base)
	wider := min(spare, max(0, m.longest+len("> ")-c.server))
	c.server, spare = c.server+wider, spare-wider
	if c.reason = spare - 1; c.reason < shortest {
		c.reason = 0
		return c
	}
	wider = min(bars-c.history, c.reason/3)
	c.history, c.reason = c.history+wider, c.reason-wider
	return c
}

// View returns the screen. It writes only the visible lines of the list.
func (m *Model) View() tea.View {
	view := tea.NewView(strings.Join(m.screen(), "\n"))
	view.AltScreen = true
	return view
}

// screen returns the lines of the screen.
func (m *Model) screen() []string {
	if m.mode == reading {
		return m.reader()
	}
	all := m.header()
	c := m.columns()
	m.scroll()
	all = append(all, m.styled("\x1b[7m", pad(m.title(c), m.width)))
	for i := m.first; i < min(m.first+m.rows(), len(m.lines)); i++ {
		all = append(all, m.row(c, m.lines[i], i == m.cursor && !m.lost))
	}
	return m.fitted(all, m.footer()...)
}

// fitted returns the lines of a screen that ends with the lines last.
func (m *Model) fitted(all []string, last ...string) []string {
	last = last[:min(len(last), max(1, m.height))]
	room := max(0, m.height-len(last))
	all = append(all, make([]string, max(0, room-len(all)))...)
	return append(all[:room], last...)
}

// rows returns how many lines of the list are visible.
func (m *Model) rows() int { return max(1, m.height-len(m.header())-1-len(m.footer())) }

// scroll makes the selected line visible.
func (m *Model) scroll() {
	m.first = max(0, min(m.first, len(m.lines)-m.rows()))
	m.first = min(m.first, m.cursor)
	m.first = max(m.first, m.cursor-m.rows()+1)
}

// header returns the lines above the list.
func (m *Model) header() []string {
	if !m.updated {
		return append([]string{cut("lvsctl top on "+m.source.Host+": reading the state", m.width)}, m.troubles()...)
	}
	v, sum := m.total.verdicts, m.total.texts()
	third := "sort: " + m.orders[m.column].name
	if m.reverse {
		third += ", reversed"
	}
	third += map[bool]string{false: "  orders: off  keys: ?", true: "  orders: ON  keys: ?"}[m.armed]
	if m.filter != "" {
		third += "  filter: " + m.filter
	}
	return append([]string{
		cut(fmt.Sprintf("lvsctl top on %s at %s: %s, %s, %s", m.source.Host, m.now.Format(time.TimeOnly),
			counted(m.state.Daemons, "daemon"), counted(len(m.state.Services), "service"), counted(m.total.servers, "real server")), m.width),
		cut(fmt.Sprintf("%d good, %d bad, %d unknown; %s active, %s inactive; %s conn/s, %s in/s, %s out/s",
			v["good"], v["bad"], v["unknown"], sum[0], sum[1], sum[2], sum[3], sum[4]), m.width),
		cut(third, m.width),
	}, m.troubles()...)
}

// troubles returns the lines with the troubles.
func (m *Model) troubles() (lines []string) {
	all := m.state.Troubles
	if took := m.now.Sub(m.begun); !m.begun.IsZero() && took >= period {
		all = append([]string{fmt.Sprintf("the state is old: its read has not ended for %s", took.Round(time.Second))}, all...)
	}
	for i, t := range all {
		if i == mostTroubles {
			return append(lines, cut(fmt.Sprintf("and %d more troubles", len(all)-i), m.width))
		}
		lines = append(lines, m.styled(colours["bad"], cut(t, m.width)))
	}
	return lines
}

// title returns the names of the columns.
func (m *Model) title(c columns) string {
	return m.cells(c, cells{" SERVER", "WEIGHT", "VERDICT SINCE", "ACTIV", "INACT", "CONN/S", "IN/S", "OUT/S", "TREND", "REASON"}, "")
}

// cells are the texts of one row.
type cells [10]string

// cells returns a row. The colour is for the verdict. Without a weight, the first text can use its
// column.
func (m *Model) cells(c columns, texts cells, colour string) string {
	widths := [...]int{c.server, 6, 13, 5, 5, 6, 5, 5, c.history, c.reason}
	wide := texts[1] == ""
	if wide {
		widths[0] += 1 + widths[1]
	}
	var b strings.Builder
	used := -1
	for i, text := range texts {
		if widths[i] == 0 || i == 1 && wide {
			continue
		}
		if used += 1 + widths[i]; used > m.width {
			break // A narrow terminal has no place for this column.
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		switch cell := cut(text, widths[i]); {
		case i >= 3 && i <= 7:
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + cell)
		case i == 2:
			b.WriteString(m.styled(colour, pad(cell, widths[i])))
		default:
			b.WriteString(pad(cell, widths[i]))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// colours are the colours of the verdicts: green, red, yellow.
var colours = map[string]string{"good": "\x1b[32m", "bad": "\x1b[31m", "unknown": "\x1b[33m", fallback: "\x1b[33m"}

// styled returns a text in a colour, if the terminal has colours.
func (m *Model) styled(colour, text string) string {
	if !m.source.Colour || colour == "" {
		return text
	}
	return colour + text + "\x1b[m"
}

// row returns a line of the list.
func (m *Model) row(c columns, l line, selected bool) string {
	mark := " "
	if selected {
		mark = ">"
	}
	if l.server == nil {
		return m.serviceRow(c, l.service, mark)
	}
	s := l.server
	verdict := s.Verdict
	if s.Aged {
		verdict += " " + age(s.Age)
	}
	texts := cells{mark + " " + s.Addr, s.Weights, verdict, 9: s.Reason}
	return m.cells(c, m.measured(c, texts, l, *s), colours[s.Verdict])
}

// measured adds the traffic and the trend of a line to its texts.
func (m *Model) measured(c columns, texts cells, l line, servers ...Server) cells {
	traffic := sumOf(servers).texts()
	copy(texts[3:], traffic[:])
	texts[8] = draw(m.history.rates[l.key()], c.history)
	return texts
}

// serviceRow returns the line of a service. Its title also fills the column of the weights. Without
// a column for reasons, a reason replaces the numbers.
func (m *Model) serviceRow(c columns, s *Service, mark string) string {
	total := summed([]Service{*s})
	verdict := fmt.Sprintf("%d/%d good", total.verdicts["good"], total.servers)
	if s.Reason != "" && c.reason == 0 {
		title := cut(mark+s.Title, c.server+7)
		return cut(pad(title, c.server+8)+verdict+"  "+s.Reason, m.width)
	}
	texts := cells{mark + s.Title, "", verdict, 9: s.Reason}
	return m.cells(c, m.measured(c, texts, line{service: s}, s.Servers...), "")
}

// footer returns the last lines. A narrow terminal must not hide the end of a refusal.
func (m *Model) footer() []string { return wrap(m.news(), m.width) }

// news returns a question, the result of the last key, or the reason of the selected line.
func (m *Model) news() string {
	switch m.mode {
	case filtering:
		return "filter: " + m.filter + "_"
	case weighing:
		return fmt.Sprintf("weight of %s of %s: %s_", m.pending.Server, m.pending.Service, m.digits)
	case confirming:
		return m.pending.String() + "? y gives the order, every other key does not"
	default:
	}
	if m.message != "" {
		return m.message
	}
	if m.running {
		return m.pending.String() + ": no answer yet"
	}
	l, _ := m.selected()
	if l.service == nil {
		return ""
	}
	return l.reason()
}

// reader returns the screen with a text.
func (m *Model) reader() []string {
	lines, page := m.wrapped(), max(1, m.height-2)
	all := []string{m.styled("\x1b[7m", pad(cut(m.topic, m.width), m.width))}
	all = append(all, lines[min(m.scrolled, len(lines)):min(m.scrolled+page, len(lines))]...)
	more := "esc: back"
	if len(lines) > page {
		more += "; up and down: scroll"
	}
	return m.fitted(all, cut(more, m.width))
}

// wrapped returns the text in lines of the width of the screen.
func (m *Model) wrapped() (lines []string) {
	for _, text := range m.text {
		lines = append(lines, wrap(text, m.width)...)
	}
	return lines
}

// wrap returns a text that a terminal only displays, in lines of at most width characters. If
// possible, a line ends after a word.
func wrap(text string, width int) (lines []string) {
	rest, width := []rune(plain.Line(text)), max(1, width)
	for len(rest) > width {
		end := width
		for end > 0 && rest[end] != ' ' {
			end--
		}
		if end == 0 {
			end = width
		}
		lines = append(lines, string(rest[:end]))
		rest = []rune(strings.TrimLeft(string(rest[end:]), " "))
	}
	return append(lines, string(rest))
}

// cut returns a text that a terminal only displays, in at most width characters.
func cut(text string, width int) string {
	runes := []rune(plain.Line(text))
	if len(runes) <= width {
		return string(runes)
	}
	return string(runes[:max(0, width-1)]) + "…"
}

// pad returns a text with blanks up to a width.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// short returns a number in at most five characters.
func short(n uint64) string {
	if n < 100_000 {
		return strconv.FormatUint(n, 10)
	}
	value, units := float64(n), "KMGTPE"
	for value /= 1000; value >= 999.5; value /= 1000 {
		units = units[1:]
	}
	if value < 9.95 {
		return fmt.Sprintf("%.1f%c", value, units[0])
	}
	return fmt.Sprintf("%.0f%c", value, units[0])
}

// age returns a duration in at most six characters.
func age(d time.Duration) string {
	seconds := int(d.Seconds())
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%02ds", seconds/60, seconds%60)
	case seconds < 86400:
		return fmt.Sprintf("%dh%02dm", seconds/3600, seconds/60%60)
	}
	return fmt.Sprintf("%dd", seconds/86400)
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
