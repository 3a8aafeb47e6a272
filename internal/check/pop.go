package check

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// pop checks a POP3 server. The check is good if the server sends a greeting and, with Login,
// accepts the login and the command STAT (RFC 1939).
func pop(_ context.Context, c *conn, t Target) error {
	l := newLines(c)
	greeting, err := l.ok("greeting")
	if err != nil {
		return err
	}
	if t.Login != "" {
		if err := l.enter(greeting, t.Login, t.Passwd); err != nil {
			return err
		}
		if err := l.popCommand("STAT"); err != nil {
			return err
		}
	}
	l.bye("QUIT")
	return nil
}

// enter logs in with the password. Many servers refuse a password without TLS. If the server
// refuses the password, enter tries the login methods of the server that do not send the password.
// Mail::POP3Client of Perl tries these methods first.
func (l lines) enter(greeting, login, passwd string) error {
	refusal := l.enterPlain(login, passwd)
	if refusal == nil {
		return nil
	}
	if stamp := apopStamp.FindString(greeting); stamp != "" {
		sum := md5.Sum([]byte(stamp + passwd))
		if l.popCommand("APOP", login, hex.EncodeToString(sum[:])) == nil {
			return nil
		}
	}
	if l.offersCRAM() && l.enterCRAM(login, passwd) == nil {
		return nil
	}
	return refusal
}

// apopStamp matches the time stamp in a greeting that offers APOP (RFC 1939 7).
var apopStamp = regexp.MustCompile(`<[^<>\s]+@[^<>\s]+>`)

func (l lines) enterPlain(login, passwd string) error {
	if err := l.send("USER", login); err != nil {
		return err
	}
	answer, err := l.ReadLine()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(answer, "+") {
		return unexpected("USER", answer)
	}
	return l.popCommand("PASS", passwd)
}

// offersCRAM reports whether the server offers CRAM-MD5 (RFC 2449 6.3).
func (l lines) offersCRAM() bool {
	if l.popCommand("CAPA") != nil {
		return false
	}
	offered, err := l.ReadDotLines()
	return err == nil && slices.ContainsFunc(offered, func(line string) bool {
		words := strings.Fields(strings.ToUpper(line))
		return len(words) > 0 && words[0] == "SASL" && slices.Contains(words, "CRAM-MD5")
	})
}

// enterCRAM logs in with the method CRAM-MD5 (RFC 2195, RFC 5034).
func (l lines) enterCRAM(login, passwd string) error {
	if err := l.send("AUTH", "CRAM-MD5"); err != nil {
		return err
	}
	line, err := l.ReadLine()
	if err != nil {
		return err
	}
	text, found := strings.CutPrefix(line, "+ ")
	challenge, failed := base64.StdEncoding.DecodeString(text)
	if !found || failed != nil {
		return errors.New("no challenge")
	}
	sum := hmac.New(md5.New, []byte(passwd))
	_, _ = sum.Write(challenge) // Write of a hash never fails
	return l.popCommand(base64.StdEncoding.EncodeToString([]byte(login + " " + hex.EncodeToString(sum.Sum(nil)))))
}

// popCommand sends a command of POP3 and reads its answer, which has one line.
func (l lines) popCommand(words ...string) error {
	if err := l.send(words...); err != nil {
		return err
	}
	_, err := l.ok(words[0])
	return err
}

// ok reads one line of answer of POP3. It returns an error if the line does not begin with +OK.
func (l lines) ok(after string) (string, error) {
	line, err := l.ReadLine()
	if err == nil && !prefixed(line, "+OK") {
		err = unexpected(after, line)
	}
	return line, err
}
