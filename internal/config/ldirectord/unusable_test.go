package ldirectord

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/config"
)

// TestRangesAreBounded checks that Parse limits the number of real servers in all services of a
// file, before it expands the ranges.
func TestRangesAreBounded(t *testing.T) {
	var all strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&all, "virtual=192.0.2.10:%d\n\treal=10.%d.0.1->10.%d.15.250:80 masq\n", i+1, i%250, i%250)
	}
	began := time.Now()
	cfg, problems := Parse("web.cf", []byte(all.String()))
	took := time.Since(began)
	var errs []string
	for _, p := range problems {
		if p.Severity == config.Error {
			errs = append(errs, p.String())
		}
	}
	const want = "web.cf:34:7: more than 65536 real servers in all; write fewer or shorter ranges"
	if got := strings.Join(errs, "\n"); cfg != nil || got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestReceive checks that Parse refuses only the real servers that need an unusable regular
// expression or an unusable URL. If all real servers of the file are refused, Parse refuses the
// file.
func TestReceive(t *testing.T) {
	const other = "virtual=192.0.2.11:80\n\treal=192.0.2.21 masq\n"
	for _, tt := range []struct{ name, text, want string }{
		{"of a service", "virtual=192.0.2.10:80\n\treceive=\"a(*SKIP)b\"\n\treal=192.0.2.21 masq\n" + other,
			"error: web.cf:2:10: receive \"a(*SKIP)b\" cannot be used: (*SKIP) is not understood at character 2, so its real servers are never up; write the expression without it\n"},
		{"of a real server", "virtual=192.0.2.10:80\n\treal=192.0.2.21 masq 1 \"a\", \"(\"\n\treal=192.0.2.22 masq\n",
			"error: web.cf:2: receive \"(\" cannot be used: no closing parenthesis at character 1, so this real server is never up\n"},
		{"of a range", "virtual=192.0.2.10:80\n\treal=192.0.2.21->192.0.2.29 masq 1 \"a\", \"(\"\n\treal=192.0.2.32 masq\n",
			"error: web.cf:2: receive \"(\" cannot be used: no closing parenthesis at character 1, so this real server is never up\n"},
		{"of a check that has no answer", "virtual=192.0.2.10:80\n\treceive=\"(\"\n\tchecktype=connect\n\treal=192.0.2.21 masq\n",
			"warning: web.cf:2:10: receive \"(\" cannot be used: no closing parenthesis at character 1; it has no effect here\n"},
		{"of all", "virtual=192.0.2.10:80\n\treceive=\"(\"\n\treal=192.0.2.21 masq\n",
			"error: web.cf:2:10: receive \"(\" cannot be used: no closing parenthesis at character 1, so its real servers are never up\n"},
		{"URL", "virtual=192.0.2.10:80\n\treal=192.0.2.21 masq 1 \"http://192.0.2.9:x/\", \"\"\n" + other,
			"error: web.cf:2: request is not a URL, so this real server is never up; write special characters of a login as %XX\n"},
		{"bytes", "virtual=192.0.2.10:80\n\treceive=\"\xe9(?<=\xe9)$\"\n\treal=192.0.2.21 masq\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, problems := Parse("web.cf", []byte(tt.text))
			if got := lines(problems); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if all := tt.name == "of all"; (cfg == nil) != all || (config.Err(problems) != nil) != all {
				t.Errorf("the file is used: %t", cfg != nil)
			}
		})
	}
}
