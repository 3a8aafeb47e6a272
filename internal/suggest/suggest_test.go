package suggest

import "testing"

func TestHint(t *testing.T) {
	words := []string{"scheduler", "virtual", "real", "rr", "wlc"}
	for word, want := range map[string]string{
		"schedular": `; did you mean "scheduler"?`,
		"shceduler": `; did you mean "scheduler"?`,
		"vitual":    `; did you mean "virtual"?`,
		"wcl":       `; did you mean "wlc"?`,
		"rrr":       `; did you mean "rr"?`,
		"virtual":   `; did you mean "virtual"?`,
		"password":  "",
		"x":         "",
		"":          "",
	} {
		if got := Hint(word, words); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
