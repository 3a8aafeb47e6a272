package manual

import "testing"

func TestVersionIsNeverEmpty(t *testing.T) {
	if Version("") == "" {
		t.Error("no version")
	}
	if got := Version("1.2.3"); got != "1.2.3" {
		t.Errorf("got %s", got)
	}
}
