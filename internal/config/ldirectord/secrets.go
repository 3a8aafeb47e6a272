package ldirectord

import (
	"regexp"
	"strings"

	"lvs-agents/internal/config"
)

// secretNames are the directives whose values are never shown.
var secretNames = []string{"passwd", "login", "secret"}

// urlLogin is a login in a URL, whose password may have been written with anything in it.
var urlLogin = regexp.MustCompile(`://[^\s"]*:[^\s"]*@`)

// hideSecrets ends a message at the first assignment of a secret: lines that
// ran together carry other directives' values into messages. It takes logins out
// of URLs.
func hideSecrets(text string) string {
	text = urlLogin.ReplaceAllString(text, "://"+config.Redacted+"@")
	end, shown := len(text), text
	for _, name := range secretNames {
		if i := assignment(text[:end], name); i >= 0 {
			end, shown = i, text[:i]+name+`="`+config.Redacted+`"`
		}
	}
	return shown
}

// assignment returns where in text a name is followed by an equals sign, or -1.
func assignment(text, name string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 {
			return -1
		}
		from += i + len(name)
		rest := strings.TrimLeft(text[from:], " \t\\"+quoteRunes)
		if strings.HasPrefix(rest, "=") {
			return from - len(name)
		}
	}
}
