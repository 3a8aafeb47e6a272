package repository

import (
	"fmt"
	"html"
	"strings"
)

// picture is the parsed content of docs/architecture.txt, the source of docs/architecture.svg.
type picture struct {
	rows   []row
	arrows []arrow
}

type row struct {
	title string
	boxes []box
}

type box struct {
	name  string
	lines []string
}

type arrow struct{ from, to, label string }

// parsePicture parses the source of the picture. The comments at the beginning of that file
// describe its syntax.
func parsePicture(source string) (picture, error) {
	var p picture
	for number, line := range strings.Split(source, "\n") {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		from, to, isArrow := strings.Cut(line, " -> ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case word == "row":
			p.rows = append(p.rows, row{title: rest})
		case word == "box" && len(p.rows) > 0:
			fields := fields(rest)
			last := &p.rows[len(p.rows)-1]
			last.boxes = append(last.boxes, box{fields[0], fields[1:]})
		case isArrow:
			to, label, _ := strings.Cut(to, " | ")
			p.arrows = append(p.arrows, arrow{from, to, label})
		default:
			return p, fmt.Errorf("line %d: %q is not a row, a box or an arrow", number+1, line)
		}
	}
	return p, nil
}

// fields returns the parts of a line that describes a box.
func fields(text string) []string {
	parts := strings.Split(text, "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// These constants are lengths in the picture, in pixels.
const (
	width     = 1000
	margin    = 20
	titled    = 140 // width in pixels of the titles to the left of the rows
	boxHeight = 58
	boxGap    = 16
	rowHeight = 112
	lineStep  = 17
	letter    = 7 // average width of a letter in pixels
)

// middle is the horizontal centre of a box, and the number of the box's row.
type middle struct{ x, row int }

// svg returns the picture as SVG. From the same source it always returns the same bytes.
func (p picture) svg() (string, error) {
	var body strings.Builder
	middles := map[string]middle{}
	for r, row := range p.rows {
		y := margin + r*rowHeight
		if len(row.title)*letter > titled-margin {
			return "", fmt.Errorf("%q is wider than its column", row.title)
		}
		fmt.Fprintf(&body, `<text class="row" x="%d" y="%d">%s</text>`+"\n", margin, y+boxHeight/2+4, html.EscapeString(row.title))
		each := (width - titled - margin - boxGap*(len(row.boxes)-1)) / max(1, len(row.boxes))
		for i, b := range row.boxes {
			x := titled + i*(each+boxGap)
			middles[b.name] = middle{x + each/2, r}
			if err := b.draw(&body, x, y, each); err != nil {
				return "", err
			}
		}
	}
	for _, a := range p.arrows {
		if err := a.draw(&body, middles); err != nil {
			return "", err
		}
	}
	height := 2*margin + (len(p.rows)-1)*rowHeight + boxHeight
	return fmt.Sprintf(head, width, height) + body.String() + "</svg>\n", nil
}

const head = `<!-- Generated from docs/architecture.txt by make docs; do not edit. -->
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">
<style>
rect { fill: #eef3f8; stroke: #4a6785 }
line { stroke: #4a6785 }
text { text-anchor: middle; fill: #111 }
.row { text-anchor: start; fill: #4a6785 }
.first { font-weight: bold }
.label { font-size: 11px; fill: #333 }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8Z" fill="#4a6785"/></marker></defs>
<rect x="0" y="0" width="100%%" height="100%%" style="fill: #fff; stroke: none"/>
`

// draw writes a box with its top left corner at x and y.
func (b box) draw(to *strings.Builder, x, y, width int) error {
	fmt.Fprintf(to, `<rect x="%d" y="%d" width="%d" height="%d" rx="4"/>`+"\n", x, y, width, boxHeight)
	top := y + boxHeight/2 + 5 - lineStep*(len(b.lines)-1)/2
	for i, line := range b.lines {
		if len(line)*letter > width {
			return fmt.Errorf("%q is wider than its box", line)
		}
		class := ""
		if i == 0 {
			class = ` class="first"`
		}
		fmt.Fprintf(to, `<text%s x="%d" y="%d">%s</text>`+"\n", class, x+width/2, top+i*lineStep, html.EscapeString(line))
	}
	return nil
}

// draw writes an arrow from the lower edge of one box to the upper edge of another box.
func (a arrow) draw(to *strings.Builder, middles map[string]middle) error {
	from, known := middles[a.from]
	target, targetKnown := middles[a.to]
	if !known || !targetKnown || target.row != from.row+1 {
		return fmt.Errorf("arrow %s -> %s does not lead from a box to a box of the next row", a.from, a.to)
	}
	y1, y2 := margin+from.row*rowHeight+boxHeight, margin+target.row*rowHeight
	fmt.Fprintf(to, `<line x1="%d" y1="%d" x2="%d" y2="%d" marker-end="url(#head)"/>`+"\n", from.x, y1, target.x, y2)
	if a.label != "" {
		fmt.Fprintf(to, `<text class="label" x="%d" y="%d">%s</text>`+"\n", (from.x+target.x)/2+70, (y1+y2)/2+4, html.EscapeString(a.label))
	}
	return nil
}
