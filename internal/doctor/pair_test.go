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
