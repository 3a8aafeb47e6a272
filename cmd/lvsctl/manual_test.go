package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"lvs-agents/internal/manual"
	"lvs-agents/metadata/metadatatest"
)

func TestGenerated(t *testing.T) {
	parser, err := newParser(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	program := manual.Program{
		Name: "lvsctl", Short: strings.TrimSuffix(parser.Model.Help, "."),
		Synopsis: []string{"COMMAND [OPTION...] [ARGUMENT...]"}, Options: options(parser.Model.Flags), Source: "cmd/lvsctl/command.go",
		Exit: [][2]string{{"0", "the command succeeded and found no fault"}, {"1", "the command found a fault or failed; the output has the reason"}, {"2", "wrong command line"}, {"3", "wait: the real servers did not get the state within the timeout"}},
		Also: []string{"ldirectord.cf(5)", "directord(8)", "ipvsadm(8)", "ocf_lvs_ipvs(7)", "ocf_lvs_health(7)", "ocf_lvs_realserver(7)"},
	}
	for _, leaf := range parser.Model.Leaves(true) {
		command := manual.Command{Name: leaf.Name, Text: strings.TrimSpace(leaf.Help + " " + leaf.Detail), Options: options(leaf.Flags)}
		var words []string
		for _, p := range leaf.Positional {
			words = append(words, p.Summary())
			command.Text += "\n\n" + p.Summary() + ": " + p.Help
			if p.Name == "file" {
				command.Operands = manual.Operands{Files: true}
			}
		}
		command.Synopsis = strings.Join(words, " ")
		program.Commands = append(program.Commands, command)
	}
	metadatatest.Golden(t, "docs/man/lvsctl.8", program.Man())
	for file, text := range program.Completions() {
		metadatatest.Golden(t, "cmd/lvsctl/completion/"+file, text)
	}
}

// options converts the flags of kong to options of the manual page.
func options(flags []*kong.Flag) []manual.Option {
	var all []manual.Option
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		o := manual.Option{Long: f.Name, Text: f.Help}
		if f.Short != 0 {
			o.Short = string(f.Short)
		}
		if !f.IsBool() {
			o.Value = f.FormatPlaceHolder()
		}
		all = append(all, o)
	}
	return all
}
