package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unique"
)

// Redacted is the text that is printed instead of a secret.
const Redacted = "***"

// Secret is text that must not be shown. Printing or encoding it gives ***. Secrets can be
// compared. The zero value means that there is no secret.
type Secret struct {
	// text has a pointer inside, and package fmt prints the pointer instead of the text.
	text unique.Handle[string]
}

// NewSecret hides a text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Reveal returns the text. Do not pass it to code that logs.
func (s Secret) Reveal() string {
	if s == (Secret{}) {
		return ""
	}
	return s.text.Value()
}

// Equal reports whether two secrets are the same.
func (s Secret) Equal(other Secret) bool { return s == other }

// String returns ***, or nothing for no secret.
func (s Secret) String() string {
	if s == (Secret{}) {
		return ""
	}
	return Redacted
}

// Format prints the text that String returns, for every verb of package fmt.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText returns the text that String returns, so that an encoder does not write the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

var (
	passwordOption = regexp.MustCompile(`((?:^|\s)(?:-p\s+|--?(?:pass(?:word|wd)?|secret|token)(?:=|\s+)))("[^"]*"|'[^']*'|\S+)`)
	urlLogin       = regexp.MustCompile(`://[^\s"'/]*:[^\s"'/]*@`)
)

// HideCommand returns the command of a check with *** instead of each password: after -p,
// --password, --secret and --token, and before @ in a URL. A number after -p is a port.
func HideCommand(command string) string {
	if !strings.Contains(command, "-") && !strings.Contains(command, "://") {
		return command
	}
	command = passwordOption.ReplaceAllStringFunc(command, func(found string) string {
		part := passwordOption.FindStringSubmatch(found)
		if _, err := strconv.ParseUint(part[2], 10, 16); err == nil && strings.Contains(part[1], "-p ") {
			return found
		}
		return part[1] + Redacted
	})
	return urlLogin.ReplaceAllString(command, "://"+Redacted+"@")
}

// HideWords is HideCommand for a command that is already divided into words. A word can
// have blanks.
func HideWords(words []string) []string {
	shown := make([]string, len(words))
	option := false // option says that the word before is an option whose value can be this word.
	for i, word := range words {
		solid := strings.Join(strings.Fields(word), "_")
		switch {
		case option && HideCommand(words[i-1]+" "+solid) != words[i-1]+" "+solid:
			shown[i] = Redacted
		case strings.HasPrefix(word, "-"):
			shown[i] = HideCommand(solid)
			if shown[i] == solid {
				shown[i] = word
			}
		default:
			shown[i] = HideCommand(word)
		}
		option = strings.HasPrefix(word, "-") && shown[i] == word
	}
	return shown
}
