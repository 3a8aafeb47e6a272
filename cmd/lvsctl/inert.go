package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"lvs-agents/internal/plain"
)

// inert returns a text in one line that a terminal only displays.
func inert(text string) string { return plain.Line(text) }

// writeJSON prints a value as indented JSON that a terminal only displays.
func writeJSON(out io.Writer, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if _, err := fmt.Fprintln(out, inert(line)); err != nil {
			return err
		}
	}
	return nil
}
