package doctor

import (
	"strings"
	"testing"
)

func TestExamineHashTables(t *testing.T) {
	const own = "-t 192.0.2.10:443 1111aaaa, -t 192.0.2.10:80 2222bbbb"
	found := ExamineHashTables(own, map[string]string{
		"director1": own,
		"director2": "-t 192.0.2.10:443 1111aaaa, -t 192.0.2.10:80 3333cccc",
		"director3": "",
	})
	if len(found) != 1 || !strings.Contains(found[0].What, "node director2 breaks connections of virtual service -t 192.0.2.10:80") {
		t.Errorf("%+v", found)
	}
	if found := ExamineHashTables("", map[string]string{"director2": own}); found != nil {
		t.Errorf("before the checks of this director: %+v", found)
	}
}

func TestExamineSetups(t *testing.T) {
	tests := []struct{ name, other, want string }{
		{"equal", "1.0 aaaa", ""},
		{"another version", "1.1 aaaa", "lvs-agents has version 1.0 on director1, and 1.1 on director2"},
		{"another file", "1.0 bbbb", "the configuration files of the health daemons differ on director1 and director2"},
		{"not published", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := causes(ExamineSetups("director1", "/etc/web.cf", map[string]string{"director1": "1.0 aaaa", "director2": tt.other})); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if found := ExamineSetups("director3", "/etc/web.cf", map[string]string{"director1": "1.0 aaaa"}); found != nil {
		t.Errorf("without a value of this node: %v", found)
	}
}

func TestExamineReadings(t *testing.T) {
	const refused = "/etc/web.cf:3:10: error: no scheduler"
	for _, tt := range []struct {
		name, read, now, refused, want string
	}{
		{"equal", "a", "a", "", ""},
		{"changed", "a", "b", "", "the file has changed since it was read, and no reload has happened"},
		{"refused", "a", "b", refused, refused},
		{"read and refused", "b", "b", refused, refused},
		{"away", "a", "", refused, "/etc/web.cf does not exist any more"},
	} {
		found := ExamineReadings([]Reading{{Who: "health daemon web", Path: "/etc/web.cf", Read: tt.read, Now: tt.now, Refused: tt.refused, Reload: "kill -HUP 7"}})
		if got := causes(found); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
