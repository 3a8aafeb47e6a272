// Package alert sends mail about real servers. It never makes its callers wait:
// a mail server that hangs costs messages, not checks.
package alert

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/wneessen/go-mail"

	"lvs-agents/internal/mailbox"
	"lvs-agents/internal/program"
)

// Message is one mail.
type Message struct {
	From    string // empty for the sender's own
	To      []string
	Relay   string // SMTP host[:port]; empty for the local mailer
	Subject string
	Body    string
}

// Sender sends messages one after the other. New makes it; the caller must Run it.
type Sender struct {
	// Local is the program that takes mail without a relay.
	Local string
	// User and Host are the sender of messages that name none.
	User, Host string
	Log        logrus.FieldLogger
	// Programs runs Local; it may be nil.
	Programs *program.Set

	queue chan Message
}

// waiting bounds the messages that wait for a slow server; a director with a
// thousand real servers that lose their network has so many at once.
const waiting = 1024

// messageTimeout bounds one message.
const messageTimeout = 20 * time.Second

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
		s.Log.Warnf("emailalert: not sent, because %d messages are already waiting: %s", waiting, m.Subject)
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
		s.Log.Errorf("emailalert: %d messages were not sent before the deadline", left)
	}
}

// deliver sends to each address separately: a refused address does not stop the others.
func (s *Sender) deliver(ctx context.Context, m Message) {
	for _, to := range m.To {
		limited, cancel := context.WithTimeout(ctx, messageTimeout)
		err := s.mail(limited, m, to)
		cancel()
		if err != nil {
			s.Log.Errorf("emailalert to %s: %v", to, err)
		}
	}
}

func (s *Sender) mail(ctx context.Context, m Message, to string) error {
	message, err := s.message(m, to)
	if err != nil {
		return err
	}
	if m.Relay == "" {
		return s.local(ctx, message)
	}
	host, port, err := mailbox.Relay(m.Relay)
	if err != nil {
		return fmt.Errorf("smtp=%s: %w", m.Relay, err)
	}
	r := conversation{host: host, port: port, own: s.Host}
	err = r.send(ctx, message, mail.TLSOpportunistic, messageTimeout/4)
	if r.offered && !r.greeted && ctx.Err() == nil {
		// The relay takes no mail over the encryption that it offers.
		clear := conversation{host: host, port: port, own: s.Host}
		if again := clear.send(ctx, message, mail.NoTLS, messageTimeout); again != nil {
			return errors.Join(err, fmt.Errorf("in clear: %w", again))
		}
		s.Log.Debugf("emailalert: %s was reached in clear only: %v", m.Relay, err)
		return nil
	}
	return err
}

// message makes the mail to one address.
func (s *Sender) message(m Message, to string) (*mail.Msg, error) {
	own := s.User + "@" + s.Host
	from, err := mailbox.Address(cmp.Or(m.From, own), s.Host)
	if err != nil {
		return nil, fmt.Errorf("emailalertfrom=%q: %w", m.From, err)
	}
	if to, err = mailbox.Address(to, s.Host); err != nil {
		return nil, err
	}
	message := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := cmp.Or(message.From(from), message.EnvelopeFrom(own), message.To(to)); err != nil {
		return nil, err
	}
	message.Subject(m.Subject)
	message.SetDate()
	message.SetMessageID()
	message.SetBodyString(mail.TypeTextPlain, m.Body)
	return message, nil
}

// maxOutput bounds the errors of the local mailer in bytes.
const maxOutput = 4 << 10

// local gives a message to the local mailer. The local sender of go-mail would also wait for
// processes that the mailer has started, like Postfix's postdrop, which retries without limit.
func (s *Sender) local(ctx context.Context, message *mail.Msg) error {
	var text bytes.Buffer
	if _, err := message.WriteTo(&text); err != nil {
		return err
	}
	output := &program.Head{Max: maxOutput}
	_, err := s.Programs.Run(ctx, program.Command{Argv: []string{s.Local, "-oi", "-t"}, Stdin: &text, Stderr: output})
	if text := strings.TrimSpace(output.String()); text != "" {
		err = errors.Join(err, errors.New(text))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Local, err)
	}
	return nil
}

// conversation is one with a server that takes mail.
type conversation struct {
	host    string
	port    int
	own     string // name of this host
	offered bool   // the server has offered STARTTLS, which was sent
	greeted bool   // the greeting, with STARTTLS if it was sent, is done
}

// send opens a connection, which ends with ctx: go-mail itself heeds that only while
// it connects. From STARTTLS to the end of the greeting it can take so long: some
// relays go silent after the encryption that they offer. Relays that greet late
// on purpose have their time.
func (r *conversation) send(ctx context.Context, message *mail.Msg, policy mail.TLSPolicy, encrypting time.Duration) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(r.host, strconv.Itoa(r.port)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	late := time.AfterFunc(messageTimeout, func() { _ = conn.Close() })
	defer late.Stop()
	watched := watchedConn{conn, func() { r.offered = late.Reset(encrypting) }}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	local, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	// The certificate of a relay is not verified, since without an offer of
	// encryption the message would go in clear.
	client, err := mail.NewClient(r.host, mail.WithPort(r.port), mail.WithTimeout(messageTimeout), mail.WithoutNoop(),
		mail.WithHELO(mailbox.Hello(r.own, local.Addr())), mail.WithTLSPolicy(policy),
		mail.WithTLSConfig(&tls.Config{ServerName: r.host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}),
		mail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return watched, nil }))
	if err != nil {
		return err
	}
	if err := client.DialWithContext(ctx); err != nil {
		return err
	}
	r.greeted = late.Stop()
	defer func() { _ = client.Close() }() // the mail is delivered, or has its error
	return client.Send(message)
}

// watchedConn is a connection that reports when STARTTLS is sent.
type watchedConn struct {
	net.Conn
	encrypts func()
}

// Write implements net.Conn.
func (c watchedConn) Write(text []byte) (int, error) {
	if string(text) == "STARTTLS\r\n" {
		c.encrypts()
	}
	return c.Conn.Write(text)
}
