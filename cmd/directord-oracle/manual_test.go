package main

import (
	"reflect"
	"testing"

	"lvs-agents/internal/check/oracle"
	"lvs-agents/internal/manual"
	"lvs-agents/metadata/metadatatest"
)

// about maps each field of oracle.Question to its description in the manual page.
var about = map[string]string{
	"Addr":     "Address and port of the server.",
	"Source":   "Address to connect from; empty for the kernel's choice.",
	"Login":    "Name to log in with.",
	"Passwd":   "Password.",
	"Database": "The SID.",
	"Query":    "SQL query; the server is good if the result has a row. Empty to log in only.",
}

func TestGenerated(t *testing.T) {
	fields := manual.Section{Title: "input", Text: "One JSON object on standard input, so that the password is not on the command line."}
	question := reflect.TypeFor[oracle.Question]()
	for i := range question.NumField() {
		name := question.Field(i).Name
		if about[name] == "" {
			t.Errorf("field %s of oracle.Question is not described", name)
		}
		fields.Items = append(fields.Items, [2]string{name, about[name]})
	}
	metadatatest.Golden(t, "docs/man/directord-oracle.8", manual.Program{
		Name: "directord-oracle", Short: "Logs in at an Oracle database for directord", Synopsis: []string{"<QUESTION"},
		Long:     "directord starts this program for checks with service=oracle. Operators do not start it.",
		Sections: []manual.Section{fields},
		Exit:     [][2]string{{"0", "the database is good"}, {"1", "the database is not good; the reason is on standard output"}},
		Also:     []string{"directord(8)", "ldirectord.cf(5)"}, Source: "cmd/directord-oracle/manual_test.go",
	}.Man())
}
