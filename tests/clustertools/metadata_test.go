package clustertools

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func metadataFile(t *testing.T, agent string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), agent+".xml")
	text := asNobody(t, "env -i "+agentDir+"/"+agent+" meta-data")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestMetadataIsValidForEverySchema(t *testing.T) {
	for _, agent := range agents() {
		t.Run(agent, func(t *testing.T) {
			file := metadataFile(t, agent)
			mustCommand(t, "xmllint", "--noout", "--valid", file)
			mustCommand(t, "xmllint", "--noout", "--relaxng", "/usr/share/pcs/data/ocf-1.1.rng", file)
		})
	}
}

func TestMetadataIsTheSameForEveryCaller(t *testing.T) {
	for _, agent := range agents() {
		golden, err := os.ReadFile("../../metadata/documents/" + agent + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		for _, environment := range []string{"OCF_OUTPUT_FORMAT=log", "OCF_OUTPUT_FORMAT=text", "OCF_OUTPUT_FORMAT=xml", "OCF_TESTER_FAIL_HAVE_BINARY=1", "HA_LOGFILE=/nonexistent/x"} {
			if got := asNobody(t, "umask 0026; cd /; env -i "+environment+" "+agentDir+"/"+agent+" meta-data"); got != string(golden) {
				t.Errorf("%s with %s: not the golden file:\n%s", agent, environment, got)
			}
		}
		if got := mustCommand(t, "crm_resource", "--show-metadata", "ocf:lvs:"+agent); got != string(golden) {
			t.Errorf("crm_resource --show-metadata ocf:lvs:%s is not the golden file:\n%s", agent, got)
		}
	}
}

func TestCrmAndPcsDescribeEveryParameter(t *testing.T) {
	for _, agent := range agents() {
		t.Run(agent, func(t *testing.T) {
			crm := mustCommand(t, "crm", "ra", "info", "ocf:lvs:"+agent)
			pcs := mustCommand(t, "pcs", "resource", "describe", "ocf:lvs:"+agent)
			decl := parse(t, agent)
			for _, p := range decl.Parameters {
				if !strings.Contains(crm, "\n"+p.Name+" ") && !strings.Contains(crm, "\n"+p.Name+"*") {
					t.Errorf("crm ra info does not show %s:\n%s", p.Name, crm)
				}
				if !strings.Contains(pcs, "\n  "+p.Name) {
					t.Errorf("pcs resource describe does not show %s:\n%s", p.Name, pcs)
				}
			}
			for _, out := range []string{crm, pcs} {
				if strings.Contains(out, "Error") || strings.Contains(out, "ERROR") || strings.Contains(out, "Warning") {
					t.Errorf("complaint:\n%s", out)
				}
			}
			if list := mustCommand(t, "crm_resource", "--list-agents", "ocf:lvs"); !strings.Contains(list, agent+"\n") {
				t.Errorf("crm_resource --list-agents: %q", list)
			}
		})
	}
}

// document is the XML of an agent's meta-data, with the fields that the tests read.
type document struct {
	Version    string      `xml:"version"`
	Parameters []parameter `xml:"parameters>parameter"`
	Actions    []struct {
		Name    string `xml:"name,attr"`
		Timeout string `xml:"timeout,attr"`
	} `xml:"actions>action"`
}

type parameter struct {
	Name     string  `xml:"name,attr"`
	Longdesc []inner `xml:"longdesc"`
	Short    []inner `xml:"shortdesc"`
	Content  []inner `xml:"content"`
	Unique   string  `xml:"unique,attr"`
	Group    string  `xml:"unique-group,attr"`
	Private  *string `xml:"private,attr"`
	Required string  `xml:"required,attr"`
}

type inner struct {
	Lang string `xml:"lang,attr"`
	Type string `xml:"type,attr"`
	Text string `xml:",innerxml"`
}

func parse(t *testing.T, agent string) document {
	t.Helper()
	text, err := os.ReadFile(metadataFile(t, agent))
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := xml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestMetadataKeepsHbGuisRules checks that hb_gui, the GUI of heartbeat 2, can read the meta-data.
// hb_gui itself needs Python 2 and cannot run here, so the test applies the rules of hb_gui's
// parser (mgmt client). The parser uses the first text child of the first matching element. It
// crashes on an empty version, a parameter without content, and a description that begins with an
// element. It reads unique, not unique-group.
func TestMetadataKeepsHbGuisRules(t *testing.T) {
	for _, agent := range agents() {
		d := parse(t, agent)
		if d.Version != "1.1" {
			t.Errorf("%s: version %q", agent, d.Version)
		}
		for _, p := range d.Parameters {
			if len(p.Content) != 1 || len(p.Longdesc) != 1 || len(p.Short) != 1 {
				t.Fatalf("%s %s: not one each of longdesc, shortdesc and content", agent, p.Name)
			}
			for _, text := range []inner{p.Longdesc[0], p.Short[0]} {
				if text.Lang != "en" || text.Text == "" || strings.Contains(text.Text, "<") {
					t.Errorf("%s %s: description %+v is not plain English text", agent, p.Name, text)
				}
			}
			if (p.Group != "") != (p.Unique == "1") {
				t.Errorf("%s %s: unique and unique-group do not agree", agent, p.Name)
			}
			if p.Private != nil {
				t.Errorf("%s %s: pcs refuses private", agent, p.Name)
			}
			if !strings.Contains(" string integer boolean select ", " "+p.Content[0].Type+" ") {
				t.Errorf("%s %s: type %q is not OCF 1.1's", agent, p.Name, p.Content[0].Type)
			}
		}
	}
}

func TestManPagesRenderWithoutWarnings(t *testing.T) {
	pages, err := filepath.Glob("../../docs/man/*.[0-9]")
	if err != nil || len(pages) < len(agents()) {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		if out := mustCommand(t, "sh", "-c", "groff -man -ww -z -Tutf8 "+page+" 2>&1; man --warnings=w -l "+page+" 2>&1 >/dev/null"); out != "" {
			t.Errorf("%s: %s", page, out)
		}
	}
}

// words returns the words of a manual page as man displays them.
func words(t *testing.T, page string) []string {
	t.Helper()
	return strings.FieldsFunc(mustCommand(t, "sh", "-c", "MANWIDTH=200 man -l ../../docs/man/"+page+" | col -b"), func(r rune) bool { return strings.ContainsRune(" \t\n,=", r) })
}

func TestManPagesShowEveryParameter(t *testing.T) {
	for _, agent := range agents() {
		shown := words(t, "ocf_lvs_"+agent+".7")
		for _, p := range parse(t, agent).Parameters {
			if !slices.Contains(shown, p.Name) {
				t.Errorf("ocf_lvs_%s(7) does not show %s", agent, p.Name)
			}
		}
	}
}

// TestManPagesShowEveryOption checks that the manual pages of directord and lvsctl have every
// option of the help texts.
func TestManPagesShowEveryOption(t *testing.T) {
	for _, test := range []struct{ page, asked, want string }{
		{"directord.8", "directord --help", "--foreground"},
		{"ldirectord.8", "directord --help", "--foreground"},
		{"lvsctl.8", "lvsctl --help; ../../bin/lvsctl plan --help; ../../bin/lvsctl status --help; ../../bin/lvsctl doctor --help", "--against"},
	} {
		shown := words(t, test.page)
		said, _ := command(t, "sh", "-c", "../../bin/"+test.asked)
		options := regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(said, -1)
		if !slices.Contains(options, test.want) {
			t.Fatalf("%s says\n%s", test.asked, said)
		}
		for _, option := range options {
			if !slices.Contains(shown, option) {
				t.Errorf("%s does not show %s", test.page, option)
			}
		}
	}
}
