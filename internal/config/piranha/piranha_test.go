package piranha

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config/configtest"
)

func TestParse(t *testing.T) {
	configtest.Golden(t, "testdata/*.cf", Parse, nil)
}

// TestDamageHasOneReading checks that a damaged text has the same services as the whole text.
func TestDamageHasOneReading(t *testing.T) {
	const whole = `primary = 192.0.2.2
service = lvs
network = direct
virtual www {
active = 1
address = 192.0.2.10 eth0:1
port = 80
scheduler = rr
server RS1 {
address = 192.0.2.21
active = 1
}
server RS2 {
address = 192.0.2.22
active = 1
weight = 2
}
}
`
	want, problems := Parse("lvs.cf", []byte(whole))
	if want == nil {
		t.Fatal(problems)
	}
	for name, text := range map[string]string{
		"without line breaks": strings.ReplaceAll(whole, "\n", " "),
		"glued":               strings.NewReplacer(" = ", "=", " {", "{").Replace(whole),
		"CRLF":                strings.ReplaceAll(whole, "\n", "\r\n"),
	} {
		got, problems := Parse("lvs.cf", []byte(text))
		if got == nil {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		if diff := cmp.Diff(configtest.Describe(want, nil), configtest.Describe(got, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	configtest.Refused(t, Parse, []configtest.Refusal{
		{Text: "primary = 192.0.2.2\nnonsense\n", Want: `FILE:2: "nonsense" is not "key = value", the start of a block or its end; write one statement, or delete the line`},
		{Text: "primary = 192.0.2.2\nxyzzy = 1\n", Want: `FILE:2: unknown key "xyzzy", so piranha does not load the file; delete the line`},
		{Text: "primary = x\n", Want: "FILE:1: primary = x is not an IPv4 address; write 192.0.2.10, for example"},
		{Text: "service = lvs\n", Want: `FILE: no address of the primary director; write "primary = ADDRESS"`},
		{Text: "primary = 192.0.2.2\nservice = fos\n", Want: "FILE:2: service = fos moves programs, and has no virtual service; convert a file with service = lvs"},
		{Text: "primary = 192.0.2.2\n}\n", Want: `FILE:2: "}" ends no block; delete it`},
		{Text: "primary = 192.0.2.2\nvirtual a {\n", Want: `FILE:2: the block has no "}"; end it with a line "}"`},
		{Text: "primary = 192.0.2.2\nserver a {\n}\n", Want: `FILE:2: a server block cannot stand here: a block above has no "}"; end that block with a line "}"`},
		{Text: "primary = 192.0.2.2\ntcp_timeout =\n", Want: `FILE:2: tcp_timeout has no value; write "tcp_timeout = VALUE", or delete the line`},
		{Text: "primary = 192.0.2.2\nnetwork = other\n", Want: `FILE:2: unknown network "other"; write direct, nat or tunnel`},
		{Text: "primary = 192.0.2.2\ndeadtime = \"1\n", Want: "FILE:2: a quote is not closed; close it on the same line"},
		{Text: "primary = 192.0.2.2\nvirtual a {\nactive = 1\n}\n", Want: `FILE:2: no address; write "address = ADDRESS INTERFACE"`},
		{Text: "primary = 192.0.2.2\nvirtual a {\nactive = 1\naddress = 192.0.2.10 eth0\nscheduler = x\n}\n", Want: `FILE:5: unknown scheduler "x"`},
		{Text: "primary = 192.0.2.2\nvirtual a {\nactive = 1\naddress = 192.0.2.10 eth0\nserver b {\nweight = 70000\naddress = 192.0.2.21\n}\n}\n", Want: "FILE:6: weight = 70000 is not a number from 0 to 65535"},
	})
}

func FuzzParse(f *testing.F) {
	configtest.Fuzz(f, "testdata/*.cf", Parse)
}

// TestNoOptionIsLost checks the keys of lvs.cf.
func TestNoOptionIsLost(t *testing.T) {
	configtest.Options(t, "testdata/options.table", Parse)
}
