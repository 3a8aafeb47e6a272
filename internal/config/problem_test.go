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
