package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestSecret(t *testing.T) {
	const text = "hunterXYZZY"
	s := NewSecret(text)
	inside := struct{ unexported Secret }{s}
	shown := fmt.Sprintf("%v %+v %#v %s %q %x %d %v %+v %#v", s, s, s, s, s, s, s, inside, inside, inside)
	if strings.Contains(shown, text) || !strings.HasPrefix(shown, "*** ***") {
		t.Error(shown)
	}
	if s.Reveal() != text || !s.Equal(NewSecret(text)) || s == NewSecret("x") || (Secret{}).Reveal() != "" || (Secret{}).String() != "" {
		t.Error("a secret is not what was put in")
	}
}
