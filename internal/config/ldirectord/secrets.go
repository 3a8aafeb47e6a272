package ldirectord

import (
	"regexp"
	"strings"

	"lvs-agents/internal/config"
)

// secretNames are the directives whose values are never shown.
var secretNames = []string{"passwd", "login", "secret"}

// urlLogin matches a login in a URL. The password can contain any character except blanks and ".
var urlLogin = regexp.MustCompile(`://[^\s"]*:[^\s"]*@`)

// hideSecrets ends a message at the first assignment of a secret, and replaces logins in URLs.
// If line breaks were lost, the value of one directive contains the secret of another.
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
