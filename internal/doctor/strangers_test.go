package doctor

import (
	"strings"
	"testing"

	"lvs-agents/internal/lvs"
)

func TestExamineStrangers(t *testing.T) {
	table, err := lvs.ParseTable("-A -t 192.0.2.10:80 -s rr\n-A -t 192.0.2.99:443 -s rr\n-A -u 192.0.2.99:53 -s rr\n-A -f 7 -s rr\n-A -f 8 -s rr\n-A -f 9 -s rr\n")
	if err != nil {
		t.Fatal(err)
	}
	owned := lvs.ScopeOf(table[:1])
	if hints := ExamineStrangers(table[:1], owned); hints != nil {
		t.Errorf("an owned service: %v", hints)
	}
	hints := ExamineStrangers(table[:2], owned)
	if len(hints) != 1 || hints[0].Fix != "if no other program needs it: ipvsadm -D -t 192.0.2.99:443" {
		t.Errorf("one service: %v", hints)
	}
	hints = ExamineStrangers(table, owned)
	if len(hints) != 3 || !strings.HasSuffix(hints[2].Fix, "(2 more such services: ipvsadm -Ln)") {
		t.Errorf("five services: %v", hints)
	}
}
