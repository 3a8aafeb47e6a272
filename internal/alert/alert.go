// Package alert sends mail about real servers. It never makes its callers wait:
// a mail server that hangs costs messages, not checks.
package alert

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/wneessen/go-mail"

	"lvs-agents/internal/execvp"
)

// Message is one mail.
type Message struct {
	From    string // empty for the sender's own
	To      []string
	Relay   string // SMTP host[:port]; empty for the local mailer
	Subject string
	Body    string
}

// Sender sends messages one after the other. New makes it; somebody must Run it.
type Sender struct {
	// Local is the program that takes mail without a relay.
	Local string
	// User and Host are the sender of messages that name none.
	User, Host string
	Log        logrus.FieldLogger

	queue chan Message
}

// waiting bounds the messages that wait for a slow server; a director with a
// thousand real servers that lose their network has so many at once.
const waiting = 1024

// patience bounds one message.
const patience = 20 * time.Second

// New makes a sender for a user of a host.
func New(user, host string, log logrus.FieldLogger) *Sender {
	return &Sender{Local: mail.SendmailPath, User: user, Host: host, Log: log, queue: make(chan Message, waiting)}
}

// Send hands over a message. It never blocks.
func (s *Sender) Send(m Message) {
	select {
	case s.queue <- m:
		s.Log.Info("emailalert: " + m.Subject)
	default:
		s.Log.Warnf("emailalert: not sent, %d messages wait already: %s", waiting, m.Subject)
	}
}

// Run sends until ctx ends, and then what still waits or is on its way, as far as
// it goes within the last time.
func (s *Sender) Run(ctx context.Context, last time.Duration) {
	limited, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(last, end) })()
	for ctx.Err() == nil {
		select {
		case m := <-s.queue:
			s.deliver(limited, m)
		case <-ctx.Done():
		}
	}
	for limited.Err() == nil {
		select {
		case m := <-s.queue:
			s.deliver(limited, m)
		default:
			return
		}
	}
	if left := len(s.queue); left > 0 {
		s.Log.Errorf("emailalert: the time is up; %d messages are not sent", left)
	}
}

// deliver sends to each address by itself: one that is refused stops no other.
func (s *Sender) deliver(ctx context.Context, m Message) {
	for _, to := range m.To {
		limited, cancel := context.WithTimeout(ctx, patience)
		err := s.mail(limited, m, to)
		cancel()
		if err != nil {
			s.Log.Errorf("emailalert to %s: %v", to, err)
		}
	}
}

func (s *Sender) mail(ctx context.Context, m Message, to string) error {
	own := s.User + "@" + s.Host
	message := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if m.From == "" {
		m.From = own
	}
	if !strings.Contains(to, "@") {
		to += "@" + s.Host
	}
	if err := message.From(m.From); err != nil {
		return err
	}
	if err := message.EnvelopeFrom(own); err != nil {
		return err
	}
	if err := message.To(to); err != nil {
		return err
	}
	message.Subject(m.Subject)
	message.SetDate()
	message.SetMessageID()
	message.SetBodyString(mail.TypeTextPlain, m.Body)
	if m.Relay == "" {
		return s.local(ctx, message)
	}
	client, err := s.client(ctx, m.Relay)
	if err != nil {
		return err
	}
	return client.DialAndSendWithContext(ctx, message)
}

// local hands a message to the local mailer. go-mail would wait for the end of all
// that the mailer has started, as Postfix's postdrop, which tries for ever.
func (s *Sender) local(ctx context.Context, message *mail.Msg) error {
	var text, said bytes.Buffer
	if _, err := message.WriteTo(&text); err != nil {
		return err
	}
	cmd, err := execvp.Start([]string{s.Local, "-oi", "-t"}, func(argv []string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdin, cmd.Stderr = bytes.NewReader(text.Bytes()), &said
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = time.Second
		return cmd
	}, (*exec.Cmd).Start)
	if err == nil {
		err = cmd.Wait()
	}
	if text := strings.TrimSpace(said.String()); text != "" {
		err = errors.Join(err, errors.New(text))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Local, err)
	}
	return nil
}

// client is one for a relay, whose connection ends with ctx: go-mail itself heeds
// that only while it connects.
func (s *Sender) client(ctx context.Context, relay string) (*mail.Client, error) {
	host, port, err := net.SplitHostPort(relay)
	if err != nil {
		host, port = strings.Trim(relay, "[]"), "25"
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("smtp=%s: %w", relay, err)
	}
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(dialing, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
	// A relay that offers encryption gets it; its certificate is not asked for,
	// since without the offer the message would go in clear.
	return mail.NewClient(host, mail.WithPort(number), mail.WithDialContextFunc(dial), mail.WithTimeout(patience), mail.WithHELO(s.Host), mail.WithoutNoop(),
		mail.WithTLSPolicy(mail.TLSOpportunistic), mail.WithTLSConfig(&tls.Config{ServerName: host, InsecureSkipVerify: true}))
}
