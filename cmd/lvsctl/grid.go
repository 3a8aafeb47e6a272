package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// grid prints rows with aligned columns. A row with one cell is not aligned.
type grid struct {
	colour  bool
	servers int // servers is the number of real servers in the grid.
	rows    [][]string
}

func (t *grid) add(cells ...string) {
	for i := range cells {
		cells[i] = inert(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// print prints the rows. The verdicts have a colour on a terminal.
func (t *grid) print(out io.Writer) {
	widths := map[int]int{}
	for _, row := range t.rows {
		for i, cell := range row {
			if len(row) > 1 {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			}
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			padding := max(0, widths[i]-utf8.RuneCountInString(cell)) + 2
			if i == len(row)-1 {
				padding = 0
			}
			if colour := colours[cell]; t.colour && colour != "" && len(row) > 1 {
				cell = colour + cell + "\x1b[0m"
			}
			line.WriteString(cell + strings.Repeat(" ", padding))
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
}

// colours are the colours of verdicts on a terminal: green, red, yellow.
var colours = map[string]string{"good": "\x1b[32m", "bad": "\x1b[31m", "unknown": "\x1b[33m", "fallback": "\x1b[33m"}
