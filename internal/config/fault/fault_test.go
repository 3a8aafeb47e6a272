package fault

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestFault(t *testing.T) {
	inside := fmt.Errorf("line 1: %w", Errorf("write 1", "%q is not a number", "x"))
	for _, tt := range []struct {
		err  error
		want Fault
	}{
		{New("a", ""), Fault{"a", ""}},
		{Errorf("write 1", "%q is not a number", "x"), Fault{`"x" is not a number`, "write 1"}},
		{errors.New("a; b; c"), Fault{"a", "b; c"}},
		{errors.New("a"), Fault{"a", ""}},
		{inside, Fault{`"x" is not a number`, "write 1"}},
	} {
		if got := Of(tt.err); got != tt.want {
			t.Errorf("%v: got %+v, want %+v", tt.err, got, tt.want)
		}
	}
	if got, want := inside.Error(), `line 1: "x" is not a number; write 1`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"a\"b":                           `"a\"b"`,
		strings.Repeat("x", 80):          `"` + strings.Repeat("x", 80) + `"`,
		strings.Repeat("x", 79) + "äöü":  `"` + strings.Repeat("x", 79) + `…"`,
		strings.Repeat("x", 200) + "end": `"` + strings.Repeat("x", 80) + `…"`,
	} {
		if got := Quote(text); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := Printable("a\x1b[31m\tb\xff"); got != "a?[31m?b?" {
		t.Errorf("got %q", got)
	}
}
