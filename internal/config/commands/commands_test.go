package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvs-agents/internal/config/configtest"
)

func TestParse(t *testing.T) {
	configtest.Golden(t, "testdata/*.txt", Parse, Strict)
}

func TestGuess(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !Guess(text) {
			t.Errorf("%s is not recognised: %v", file, err)
		}
	}
}

func TestRefused(t *testing.T) {
	configtest.Refused(t, Parse, []configtest.Refusal{
		{Text: "", Want: "FILE: no virtual service, packet mark or address"},
		{Text: "ls -l\n", Want: "FILE: no virtual service, packet mark or address"},
		{Text: "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n", Want: "FILE: no virtual service, packet mark or address"},
		{Text: "ipvsadm -A -t $VIP:80\n", Want: "FILE:1: variable VIP has no value in the file; write the value instead"},
		{Text: "ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21\n", Want: "FILE:1: no command before has added -t 192.0.2.10:80; add it with ipvsadm -A"},
		{Text: "ipvsadm -A -t 192.0.2.10\n", Want: "FILE"},
		{Text: "ipvsadm -A -t [fe80::1%eth0]:80\n", Want: "FILE:1: an address with a zone"},
		{Text: "ipvsadm -A -t 192.0.2.10:80\nipvsadm -a -t 192.0.2.10:80 -r 224.0.0.1\n", Want: "FILE:2: real server 224.0.0.1:80: a multicast address"},
		{Text: "ipvsadm -A -t 192.0.2.10:0\n", Want: "FILE:1: port 0 (every port) needs persistence; add persistent=SECONDS"},
		{Text: "ipvsadm --set 1 2\n", Want: "FILE:1: --set needs three numbers; write ipvsadm --set TCP TCPFIN UDP"},
	})
	_, problems := Parse("FILE", []byte(strings.Repeat("ipvsadm -A -t x\n", 5000)))
	if last := problems[len(problems)-1].String(); last != "FILE: 4101 more problems; mend these first" {
		t.Errorf("%d problems, the last is %s", len(problems), last)
	}
}

func FuzzParse(f *testing.F) {
	configtest.Fuzz(f, "testdata/*.txt", Parse, Strict)
}

func FuzzGuess(f *testing.F) {
	f.Add([]byte("2: eth0    inet 192.0.2.10/24"))
	f.Fuzz(func(_ *testing.T, text []byte) { Guess(text) })
}

// TestNoOptionIsLost checks the options of ipvsadm.
func TestNoOptionIsLost(t *testing.T) {
	configtest.Options(t, "testdata/options.table", Parse)
}
