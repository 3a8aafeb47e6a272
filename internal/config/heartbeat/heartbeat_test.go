package heartbeat

import (
	"strings"
	"testing"

	"lvs-agents/internal/config/configtest"
)

func TestMembers(t *testing.T) {
	configtest.Golden(t, "testdata/*.ha.cf", ParseMembers, nil)
	configtest.Refused(t, ParseMembers, []configtest.Refusal{
		{Text: "nodes a\n", Want: `FILE:1: unknown directive "nodes", so heartbeat does not start; delete the line`},
		{Text: "deadtime soon\n", Want: "FILE:1: the arguments of deadtime are wrong; correct the line"},
		{Text: "deadtime 10\n", Want: "FILE: no node in this file; write \"node NAME\" for each director, as `uname -n` prints the name"},
	})
}

func TestResources(t *testing.T) {
	configtest.Golden(t, "testdata/*.haresources", ParseResources, nil)
	configtest.Refused(t, ParseResources, []configtest.Refusal{
		{Text: "", Want: `FILE: no resources in this file; write "NODE RESOURCE ..." in a line`},
		{Text: "director1\n", Want: `FILE:1: "director1" has no resources in this line; write "NODE RESOURCE ..."`},
		{Text: "IPaddr::192.0.2.10 ldirectord\n", Want: `FILE:1: the line begins with "IPaddr::192.0.2.10" instead of the name of a node; write "NODE RESOURCE ..."`},
		{Text: "a IPaddr::x\n", Want: `FILE:1: "IPaddr::x" has no valid address; write IPaddr::192.0.2.10/24/eth0, and an IPv6 address without "::"`},
		{Text: "a IPaddr::192.0.2.10/24/eth0/x\n", Want: `FILE:1: IPaddr::192.0.2.10/24/eth0/x: "x" is neither a prefix length, an interface nor a broadcast address; write IP/BITS/INTERFACE/BROADCAST`},
	})
}

func TestKeys(t *testing.T) {
	configtest.Golden(t, "testdata/*.authkeys", ParseKeys, nil)
	configtest.Refused(t, ParseKeys, []configtest.Refusal{
		{Text: "1 secret\n", Want: `FILE:1: the line is not in the form of authkeys; write "auth 1" and "1 sha1 SECRET" in two lines`},
		{Text: "auth 1\n", Want: `FILE: no key in this file; write "auth 1" and "1 sha1 SECRET" in two lines`},
	})
}

func FuzzParse(f *testing.F) {
	configtest.Fuzz(f, "testdata/*", ParseMembers, ParseResources, ParseKeys)
}

// FuzzKeys checks that no problem has the secret of authkeys.
func FuzzKeys(f *testing.F) {
	f.Add("1 sha1\n")
	f.Fuzz(func(t *testing.T, text string) {
		const secret = "s3cr3t"
		_, problems := ParseKeys("authkeys", []byte("auth 22 sha1 "+secret+"\n2 sha1 "+secret+"\nx "+secret+"\n"+text))
		for _, p := range problems {
			if strings.Contains(p.String(), secret) && !strings.Contains(text, secret) {
				t.Errorf("a problem has the secret: %s", p)
			}
		}
	})
}

// TestNoOptionIsLost checks the directives of ha.cf.
func TestNoOptionIsLost(t *testing.T) {
	configtest.Options(t, "testdata/options.table", ParseMembers)
}
