package check

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// secrets are the texts that hide removes from all reasons, even if a server sends them back. The
// texts have no backslashes, because quoting adds backslashes to a reason.
type secrets []string

// secrets returns the texts that a reason must not show: Passwd, Secret, and the login with the
// password in the encoding of HTTP. It leaves out a Passwd or Secret of one or two bytes.
func (t Target) secrets() secrets {
	var all secrets
	for _, text := range []string{t.Passwd, t.Secret} {
		// If a text of one or two letters were hidden, parts of other words would be hidden, too.
		if text = strings.ReplaceAll(text, `\`, ""); len(text) > 2 {
			all = append(all, text)
		}
	}
	if t.Passwd != "" {
		all = append(all, t.basic())
	}
	return all
}

// basic returns the login and the password in the encoding of HTTP (RFC 7617 2).
func (t Target) basic() string {
	return base64.StdEncoding.EncodeToString([]byte(t.Login + ":" + t.Passwd))
}

// Format prints only the number of secrets, for every verb of package fmt.
func (s secrets) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%d secrets", len(s)) }

// hide returns an error of the same kind whose text has *** instead of each secret.
func (s secrets) hide(err error) error {
	if err == nil || len(s) == 0 {
		return err
	}
	text := err.Error()
	hidden := s.hidden(text)
	if hidden == text {
		return err
	}
	return sameKind{hidden, err}
}

// hidden returns a text with *** instead of each secret.
func (s secrets) hidden(text string) string {
	for _, secret := range s {
		text = without(text, []rune(secret))
	}
	return text
}

func without(text string, secret []rune) string {
	var b strings.Builder
	for text != "" {
		if size := found(text, secret); size > 0 {
			b.WriteString("***")
			text = text[size:]
			continue
		}
		_, size := utf8.DecodeRuneInString(text)
		b.WriteString(text[:size])
		text = text[size:]
	}
	return b.String()
}

// found returns the length of a secret at the beginning of a text. It returns 0 if the text does
// not begin with the secret. The secret in the text can be quoted or cut. It can have question
// marks instead of characters outside of ASCII, and spaces instead of control characters.
func found(text string, secret []rune) int {
	at := 0
	for i, want := range secret {
		at += len(text[at:]) - len(strings.TrimLeft(text[at:], `\`))
		got, size := utf8.DecodeRuneInString(text[at:])
		switch {
		case size > 0 && got == want, got == '?' && want > 126, got == ' ' && want < ' ':
			at += size
		case i > 2 && (got == '…' || got == '?'):
			// The function short has cut the text with …, or ascii has replaced … by ?.
			return at
		default:
			return 0
		}
	}
	return at
}

// Shown returns the beginning of a URL or a path. It replaces a login in the URL by ***.
func Shown(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	authority := rest
	// In an invalid URL, the login can contain a slash, so the last @ of the whole text counts.
	if _, err := url.Parse(text); err == nil {
		authority, _, _ = strings.Cut(rest, "/")
	}
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		text = scheme + "://***" + rest[at:]
	}
	return short(text)
}
