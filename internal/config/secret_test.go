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

func TestHideCommand(t *testing.T) {
	for command, want := range map[string]string{
		"/bin/check -p secret -H rs1":            "/bin/check -p *** -H rs1",
		"/bin/check -p 'two words' x":            "/bin/check -p *** x",
		"/bin/check -p 8080":                     "/bin/check -p 8080",
		"/bin/check --password=secret -path /x":  "/bin/check --password=*** -path /x",
		"/bin/check --token secret":              "/bin/check --token ***",
		"/bin/check http://user:secret@rs1/page": "/bin/check http://***@rs1/page",
		"/bin/check http://rs1:80/page":          "/bin/check http://rs1:80/page",
	} {
		if got := HideCommand(command); got != want {
			t.Errorf("%q: got %q, want %q", command, got, want)
		}
	}
}

func TestHideWords(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{[]string{"/bin/check", "-p", "two words", "-H", "rs1"}, "/bin/check -p *** -H rs1"},
		{[]string{"/bin/check", "--password=two words", "x"}, "/bin/check --password=*** x"},
		{[]string{"/bin/check", "-p", "8080"}, "/bin/check -p 8080"},
		{[]string{"/bin/sh", "-c", "check -p secret && echo well done"}, "/bin/sh -c check -p *** && echo well done"},
		{[]string{"/bin/check", "http://user:secret@rs1/page"}, "/bin/check http://***@rs1/page"},
	} {
		if got := strings.Join(HideWords(tt.words), " "); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.words, got, tt.want)
		}
	}
}
