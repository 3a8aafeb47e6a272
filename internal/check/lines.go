package check

import (
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
)

// lines talks a protocol of text lines.
type lines struct{ *textproto.Conn }

func newLines(c *conn) lines { return lines{textproto.NewConn(c)} }

// send sends a command. Neither it nor its arguments may hold a line break,
// which would be the next command.
func (l lines) send(words ...string) error {
	command := strings.Join(words, " ")
	if strings.ContainsAny(command, "\r\n") {
		return fmt.Errorf("%s: a value with a line break cannot be sent", words[0])
	}
	return l.PrintfLine("%s", command)
}

// reply reads an answer that begins with a number (RFC 959, 3977 and 5321);
// class is its first digit or all three.
func (l lines) reply(after string, class int) (string, error) {
	_, text, err := l.ReadResponse(class)
	return text, refusal(after, err)
}

// ask sends a command and reads the numbered answer.
func (l lines) ask(class int, words ...string) (string, error) {
	if err := l.send(words...); err != nil {
		return "", err
	}
	return l.reply(words[0], class)
}

// bye ends a session that has proved what it should: what happens now does not matter.
func (l lines) bye(command string) {
	if l.send(command) == nil {
		_, _ = l.ReadLine()
	}
}

// refused is a command that the server did not take.
type refused struct {
	after string
	code  int
	text  string
}

func (r refused) Error() string {
	return fmt.Sprintf("%s: refused with %03d %s", r.after, r.code, short(r.text))
}

// refusal names the command that was refused; other errors stay as they are.
func refusal(after string, err error) error {
	if no, ok := errors.AsType[*textproto.Error](err); ok {
		return refused{after, no.Code, no.Msg}
	}
	if garbage, ok := errors.AsType[textproto.ProtocolError](err); ok {
		_, line, _ := strings.Cut(garbage.Error(), ": ")
		if text, err := strconv.Unquote(line); err == nil {
			line = text
		}
		return unexpected(after, line)
	}
	return err
}

// short cuts a text that is shown to an operator.
func short(text string) string {
	const most = 80
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// unexpected is the error for a line that the protocol does not have here.
func unexpected(after, line string) error {
	return fmt.Errorf("%s: answered %q", after, ascii(line))
}
