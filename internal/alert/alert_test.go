package alert

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/wneessen/go-mail"
)

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// relay starts an SMTP server that refuses one address. It returns the address of the server, and a
// channel with the mail that the server accepts.
func relay(t *testing.T, refused string) (string, <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	mails := make(chan string, 8)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go talk(conn, refused, mails)
		}
	}()
	return listener.Addr().String(), mails
}

func talk(conn net.Conn, refused string, mails chan<- string) {
	defer func() { _ = conn.Close() }()
	reader, text := bufio.NewReader(conn), ""
	fmt.Fprint(conn, "220 test\r\n")
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		switch word := strings.ToUpper(strings.Fields(line + " .")[0]); {
		case word == "RCPT" && strings.Contains(line, refused):
			fmt.Fprint(conn, "550 no such user\r\n")
		case word == "DATA":
			fmt.Fprint(conn, "354 go on\r\n")
			for line != ".\r\n" && err == nil {
				line, err = reader.ReadString('\n')
				text += line
			}
			mails <- text
			fmt.Fprint(conn, "250 done\r\n")
		case word == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			text += line
			fmt.Fprint(conn, "250 ok\r\n")
		}
	}
}

func TestRelay(t *testing.T) {
	addr, mails := relay(t, "gone@example.org")
	s := New("root", "director1", quiet())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.Run(ctx, time.Minute); close(ended) }()
	s.Send(Message{To: []string{"gone@example.org", "admin@example.org"}, Relay: addr, From: "lvs@example.org", Subject: "[web] Deleted real server", Body: "Daemon-Status: running\n"})
	text := <-mails
	for _, want := range []string{"MAIL FROM:<root@director1>", "RCPT TO:<admin@example.org>", "Subject: [web] Deleted real server", "From: <lvs@example.org>", "Date: ", "Message-ID: ", "Daemon-Status: running"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	s.Send(Message{To: []string{"root"}, Relay: addr, Subject: "last"})
	cancel()
	if text := <-mails; !strings.Contains(text, "RCPT TO:<root@director1>") {
		t.Error(text)
	}
	<-ended
}

func TestLocalMailer(t *testing.T) {
	dir := t.TempDir()
	program, out := filepath.Join(dir, "sendmail"), filepath.Join(dir, "out")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n{ echo \"$@\"; cat; } >"+out+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := New("root", "director1", quiet())
	s.Local = program
	s.deliver(t.Context(), Message{To: []string{"admin@example.org"}, Subject: "down"})
	text, err := os.ReadFile(out)
	if err != nil || !strings.HasPrefix(string(text), "-oi -t\n") || !strings.Contains(string(text), "To: <admin@example.org>") || !strings.Contains(string(text), "Subject: down") {
		t.Errorf("%s %v", text, err)
	}
}

// TestLocalMailerThatDoesNotEnd checks that the sender kills a local mailer at the deadline, and
// logs the error output of the mailer.
func TestLocalMailerThatDoesNotEnd(t *testing.T) {
	program := filepath.Join(t.TempDir(), "sendmail")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nsleep 100 &\necho cannot create file maildrop >&2\nwait\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := logrus.New()
	logger.Out = &log
	s := New("root", "director1", logger)
	s.Local = program
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	s.deliver(ctx, Message{To: []string{"admin@example.org"}, Subject: "down"})
	if want := "emailalert to admin@example.org: " + program + ": signal: killed\\ncannot create file maildrop"; !strings.Contains(log.String(), want) {
		t.Errorf("got %s, want %s", log.String(), want)
	}
}

// TestRelayThatIsSilent checks that delivery to a silent relay ends at the deadline of ctx, before
// messageTimeout has passed.
func TestRelayThatIsSilent(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	s := New("root", "director1", quiet())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	s.deliver(ctx, Message{To: []string{"admin@example.org"}, Relay: listener.Addr().String()})
	if took := time.Since(began); took > messageTimeout/2 {
		t.Errorf("took %v", took)
	}
}

// TestSendNeverBlocks checks that Send returns when the queue is full and Run does not run.
func TestSendNeverBlocks(t *testing.T) {
	s := New("root", "director1", quiet())
	for range waiting + 10 {
		s.Send(Message{})
	}
	if len(s.queue) != waiting {
		t.Error(len(s.queue))
	}
}

// strange starts a relay. The function answer chooses its replies. If end is true, the relay closes
// the connection after the reply. Instead of an empty reply, the relay accepts this command and all
// later commands. strange returns the address of the relay, and a channel with the mail that the
// relay accepts.
func strange(t *testing.T, address string, answer func(line string) (reply string, end bool)) (string, <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	mails := make(chan string, 8)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				first := true
				reader := bufio.NewReader(conn)
				fmt.Fprint(conn, "220 test\r\n")
				for first {
					line, err := reader.ReadString('\n')
					if err != nil {
						break
					}
					reply, end := answer(strings.TrimSpace(line))
					if reply == "" {
						takeMail(conn, reader, line, mails)
						break
					}
					fmt.Fprint(conn, reply)
					first = !end
				}
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String(), mails
}

// takeMail replies to line and to each later command of the client. After each mail, it sends all
// lines of the client, from line on, to the channel mails.
func takeMail(conn net.Conn, reader *bufio.Reader, line string, mails chan<- string) {
	text := line
	for err := error(nil); err == nil; {
		if strings.HasPrefix(line, "DATA") {
			fmt.Fprint(conn, "354 go on\r\n")
			for line != ".\r\n" && err == nil {
				line, err = reader.ReadString('\n')
				text += line
			}
			mails <- text
		}
		fmt.Fprint(conn, "250 ok\r\n")
		line, err = reader.ReadString('\n')
		text += line
	}
}

// TestRelaysThatLdirectordReaches checks that the sender can deliver mail to unusual relays, as
// Net::SMTP, the library of ldirectord, can.
func TestRelaysThatLdirectordReaches(t *testing.T) {
	for _, tt := range []struct {
		name, address string
		answer        func(line string) (string, bool)
	}{
		{"IPv6", "[::1]:0", func(line string) (string, bool) {
			if strings.HasPrefix(line, "EHLO") {
				return "250 m\r\n", false
			}
			return "", false
		}},
		{"STARTTLS is offered and refused", "127.0.0.1:0", offering("454 TLS not available\r\n", false)},
		{"STARTTLS is offered and silent", "127.0.0.1:0", offering(" ", false)},
		{"STARTTLS is offered and ends", "127.0.0.1:0", offering("220 go\r\n", true)},
		{"STARTTLS is offered and is not TLS", "127.0.0.1:0", offering("220 go\r\n500 what\r\n500 what\r\n", false)},
		{"a greeting without a domain is refused", "127.0.0.1:0", func(line string) (string, bool) {
			switch {
			case !strings.HasPrefix(line, "EHLO") && !strings.HasPrefix(line, "HELO"):
				return "", false
			case strings.Contains(line, "["):
				return "250 m\r\n", false
			}
			return "504 need a fully-qualified host name\r\n", false
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, mails := strange(t, tt.address, tt.answer)
			var log bytes.Buffer
			logger := logrus.New()
			logger.Out = &log
			s := New("root", "director1", logger)
			s.deliver(t.Context(), Message{From: "LVS, prod <lvs@example.org>", To: []string{"a..b@example.org"}, Relay: addr, Subject: "down"})
			select {
			case text := <-mails:
				if !strings.Contains(text, `RCPT TO:<"a..b"@example.org>`) || !strings.Contains(text, `From: "LVS, prod" <lvs@example.org>`) {
					t.Error(text)
				}
			default:
				t.Errorf("nothing came: %s", log.String())
			}
		})
	}
}

// TestRelayThatGreetsLate checks that the time limit for STARTTLS does not shorten the time that a
// relay has for its greeting. If the relay refuses in its greeting, the sender does not connect
// again.
func TestRelayThatGreetsLate(t *testing.T) {
	for greeting, want := range map[string]string{"220 test": "", "554 go away": "go away"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		var accepted atomic.Int32
		mails := make(chan string, 8)
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				accepted.Add(1)
				<-time.After(300 * time.Millisecond)
				fmt.Fprint(conn, greeting+"\r\n")
				reader := bufio.NewReader(conn)
				line, _ := reader.ReadString('\n')
				takeMail(conn, reader, line, mails)
				_ = conn.Close()
			}
		}()
		s := New("root", "director1", quiet())
		m, err := s.message(Message{Subject: "down"}, "admin@example.org")
		if err != nil {
			t.Fatal(err)
		}
		r := conversation{host: "127.0.0.1", port: listener.Addr().(*net.TCPAddr).Port, own: s.Host}
		if err := r.send(t.Context(), m, mail.TLSOpportunistic, 100*time.Millisecond); fmt.Sprint(err) != "<nil>" && (want == "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v", greeting, err)
		}
		if want == "" {
			<-mails
			continue
		}
		if err := s.mail(t.Context(), Message{Relay: listener.Addr().String()}, "admin@example.org"); err == nil || strings.Contains(err.Error(), "in clear") || accepted.Load() != 2 {
			t.Errorf("%s: got %v in connection %d", greeting, err, accepted.Load())
		}
	}
}

// offering returns the replies of a relay that offers STARTTLS. The relay replies to the command
// STARTTLS with the text reply.
func offering(reply string, end bool) func(line string) (string, bool) {
	return func(line string) (string, bool) {
		switch {
		case strings.HasPrefix(line, "EHLO"):
			return "250-m\r\n250-STARTTLS\r\n250 8BITMIME\r\n", false
		case line == "STARTTLS":
			return reply, end
		}
		if !strings.HasPrefix(line, "MAIL") {
			return "500 what\r\n", true
		}
		return "", false
	}
}
