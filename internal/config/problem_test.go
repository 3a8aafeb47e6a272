package config

import "testing"

func TestProblemTexts(t *testing.T) {
	for _, tt := range []struct {
		problem Problem
		want    string
	}{
		{Problem{File: "a.conf", Line: 7, Severity: Repaired, What: "two statements in a line", Before: "a 1 b 2", After: "a 1\x1b"},
			"repaired: a.conf:7: two statements in a line\n  - a 1 b 2\n  + a 1?"},
		{Problem{File: "a.conf", Line: 3, Column: 2, Severity: Dropped, What: "advert_int: the cluster has its own messages", Fix: "see token in corosync.conf"},
			"dropped: a.conf:3:2: advert_int: the cluster has its own messages; see token in corosync.conf"},
		{Problem{File: "a.conf", Severity: Ignored, What: "x"}, "ignored: a.conf: x"},
	} {
		if got := tt.problem.Severity.String() + ": " + tt.problem.String(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	if err := Err([]Problem{{Severity: Repaired}, {Severity: Dropped}, {Severity: Ignored}}); err != nil {
		t.Errorf("only errors make a file unusable: %v", err)
	}
}

func TestProblemsAreLimited(t *testing.T) {
	var p Problems
	for n := range 3000 {
		p.Add(Problem{Line: n + 1, Severity: Dropped, What: "x"}, Problem{Line: 1, Severity: Dropped, What: "x"})
	}
	p.Add(Problem{Line: 2, Severity: Error, What: "late"})
	all := p.All("web.cf")
	if last := all[len(all)-1].String(); len(all) != mostProblems+2 || Err(all) == nil || last != "web.cf: 2100 more problems; mend these first" {
		t.Errorf("%d problems, the last is %s", len(all), last)
	}
}
