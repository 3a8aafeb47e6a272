package report

import (
	"regexp"
	"strings"
	"unicode"
)

// word is the name of a setting whose value is a secret: passwd, auth_pass, login, secret, and
// authkey, for example.
const word = `[A-Za-z0-9_-]*(?i:passw|auth_pass|login|secret|authkey|hmac)[A-Za-z0-9_-]*`

// secrets match texts with a secret. The two groups stay, and the text between them is the secret.
var secrets = []*regexp.Regexp{
	// XML of Pacemaker: <nvpair name="passwd" value="x"/>, with the attributes in each order.
	regexp.MustCompile(`(<[^<>]*\bname="` + word + `"[^<>]*\bvalue=")[^"]*(")`),
	regexp.MustCompile(`(<[^<>]*\bvalue=")[^"]*("[^<>]*\bname="` + word + `")`),
	// JSON: "passwd": "x".
	regexp.MustCompile(`("` + word + `"\s*:\s*")(?:[^"\\]|\\.)*(")`),
	// Files: passwd = "x", and auth_pass x. Command lines: passwd=x.
	regexp.MustCompile(`(?m)(^[ \t]*` + word + `(?:[ \t]*=[ \t]*|[ \t]+))\S.*($)`),
	regexp.MustCompile(`(\b` + word + `=)(?:"[^"]*"|'[^']*'|[^\s"'&]+)()`),
	// Keys of heartbeat's authkeys: 1 sha1 x.
	regexp.MustCompile(`(?m)(^[ \t]*\d+[ \t]+(?:sha1|md5)[ \t]+)\S+()`),
	// URLs: http://user:x@host.
	regexp.MustCompile(`(://)[^/@\s"']+(@)`),
}

// option matches an option of a program with a secret. -p of ipvsadm is not a secret.
var (
	option = regexp.MustCompile(`(?m)^(.*\s(?:-p|--pass|--password|--passwd|--secret)[ =])\S+`)
	table  = regexp.MustCompile(`\bipvsadm\b|^\s*-[AE] `)
)

// Redact returns a text with *** in place of each secret, and without control characters.
func Redact(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	for _, secret := range secrets {
		text = secret.ReplaceAllString(text, "${1}***${2}")
	}
	text = option.ReplaceAllStringFunc(text, func(line string) string {
		if table.MatchString(line) {
			return line
		}
		return option.ReplaceAllString(line, "${1}***")
	})
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '\ufffd'
		}
		return r
	}, text)
}
