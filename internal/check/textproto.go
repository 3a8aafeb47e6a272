package check

import (
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
)

// lines is a connection for a protocol of text lines.
type lines struct{ *textproto.Conn }

func newLines(c *conn) lines { return lines{textproto.NewConn(c)} }

// send sends a command. It refuses line breaks in the command and its arguments, because the text
// after a line break would be another command.
func (l lines) send(words ...string) error {
	command := strings.Join(words, " ")
	if strings.ContainsAny(command, "\r\n") {
		return fmt.Errorf("%s: a value with a line break cannot be sent", words[0])
	}
	return l.PrintfLine("%s", command)
}

// reply reads an answer that begins with a number (RFC 959, 3977 and 5321). class is the first
// digit of the expected number, or the whole number. Another number is an error of type refused.
// after names the command in an error.
func (l lines) reply(after string, class int) (string, error) {
	code, text, err := l.response(after)
	if err == nil && code != class && code/100 != class {
		return "", refused{after, code, text}
	}
	return text, err
}

// response reads an answer that begins with any number. The answer has the lines of RFC 959 4.2.
// response accepts a number without a text, as Net::Cmd of Perl does.
func (l lines) response(after string) (code int, text string, err error) {
	line, err := l.ReadLine()
	if err != nil {
		return 0, "", err
	}
	code, text, more, ok := numbered(line)
	if !ok {
		return 0, "", unexpected(after, line)
	}
	for more {
		if line, err = l.ReadLine(); err != nil {
			return 0, "", err
		}
		next, _, unfinished, ok := numbered(line)
		more = !ok || unfinished || next != code
	}
	return code, text, nil
}

// numbered splits a line of an answer into its number and its text. more reports whether another
// line follows. ok reports whether the line begins with a number.
func numbered(line string) (code int, text string, more, ok bool) {
	const digits = 3
	if len(line) < digits {
		return 0, "", false, false
	}
	n, err := strconv.ParseUint(line[:digits], 10, 16)
	if err != nil {
		return 0, "", false, false
	}
	text, more = strings.CutPrefix(line[digits:], "-")
	return int(n), strings.TrimSpace(text), more, true
}

// command sends a command and reads its numbered answer. class is the expected number, as in reply.
func (l lines) command(class int, words ...string) (string, error) {
	if err := l.send(words...); err != nil {
		return "", err
	}
	return l.reply(words[0], class)
}

// bye sends the last command of a session. It ignores errors, because the check has already
// succeeded.
func (l lines) bye(command string) {
	if l.send(command) == nil {
		_, _ = l.ReadLine()
	}
}

// refused is the error for a command that the server refused with another number than expected.
type refused struct {
	after string
	code  int
	text  string
}

func (r refused) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s: refused with %03d %s", r.after, r.code, short(r.text)))
}

// strange is the error for a line that the protocol does not allow after a command.
type strange struct{ after, line string }

func (s strange) Error() string { return fmt.Sprintf("%s: answered %q", s.after, ascii(s.line)) }

// unexpected returns the error for a line that the protocol does not allow after a command.
func unexpected(after, line string) error { return strange{after, line} }

// fromServer reports whether an error quotes a line of the server: refused or strange.
func fromServer(err error) bool {
	_, no := errors.AsType[refused](err)
	_, other := errors.AsType[strange](err)
	return no || other
}
