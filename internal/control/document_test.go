package control

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestFieldsAreDocumented checks that docs/control.md has the name of every JSON field of the
// protocol.
func TestFieldsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/control.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{Snapshot{}, Attribute{}, Service{}, Counts{}, Real{}, Order{}, Command{}, Event{}, Filter{}, Traffic{}, Explanation{}, ExplainedService{}, ExplainedServer{}, ExplainedCheck{}, CheckResult{}, request{}, reply{}} {
		for field := range reflect.TypeOf(value).Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !strings.Contains(string(page), "`"+name+"`") && !strings.Contains(string(page), `"`+name+`"`) {
				t.Errorf("docs/control.md lacks %s.%s", reflect.TypeOf(value).Name(), name)
			}
		}
	}
}
