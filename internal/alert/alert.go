// Package alert sends mail and posts to webhooks about real servers. The callers of Send never wait
// for another host. If another host hangs, messages can be lost, but checks continue.
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

// Message is one mail. Each address in To gets its own copy.
type Message struct {
	From    string // From is the sender address. Empty means User@Host of the Sender.
	To      []string
	Relay   string // Relay is an SMTP server, HOST or HOST:PORT. Empty means the local mailer.
	Subject string
	Body    string
}

// Sender sends messages one after the other. New makes a Sender; the caller must call Run.
type Sender struct {
	// Local is the path of the program that sends a message without a relay.
	Local string
	// User and Host make the sender address of a message without From.
	User, Host string
	Log        logrus.FieldLogger
	// Programs runs the program Local. It can be nil.
	Programs *program.Set

	queue chan Message
}

// waiting is how many messages the queue can hold. A director with a thousand real servers sends
// about as many messages at once when the servers lose their network.
const waiting = 1024

// messageTimeout is how long the delivery of a message to one address can take.
const messageTimeout = 20 * time.Second

// New makes a Sender. The sender address of its messages is user@host.
func New(user, host string, log logrus.FieldLogger) *Sender {
	return &Sender{Local: mail.SendmailPath, User: user, Host: host, Log: log, queue: make(chan Message, waiting)}
}

// Send puts a message into the queue and logs its subject. It never waits for room in the queue: if
// the queue is full, it drops the message.
func (s *Sender) Send(m Message) {
	select {
	case s.queue <- m:
		s.Log.Info("emailalert: " + m.Subject)
	default:
		s.Log.Warnf("emailalert: not sent, because %d messages are already waiting: %s", waiting, m.Subject)
	}
}

// Run sends messages until ctx ends. Then it sends the messages that are still in the queue, and
// returns when the queue is empty. If the time last has passed since ctx ended, it drops the
// remaining messages.
func (s *Sender) Run(ctx context.Context, last time.Duration) {
	if left := drain(ctx, last, s.queue, s.deliver); left > 0 {
		s.Log.Errorf("emailalert: %d messages were not sent before the deadline", left)
	}
}

// drain calls deliver for each element of a queue until ctx ends, and then for the elements that
// are still in the queue. It returns the number of elements that are left when the time last has
// passed since ctx ended.
func drain[T any](ctx context.Context, last time.Duration, queue <-chan T, deliver func(context.Context, T)) (left int) {
	limited, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(last, end) })()
	for ctx.Err() == nil {
		select {
		case m := <-queue:
			deliver(limited, m)
		case <-ctx.Done():
		}
	}
	for limited.Err() == nil {
		select {
		case m := <-queue:
			deliver(limited, m)
		default:
			return 0
		}
	}
	return len(queue)
}

// deliver sends a message to each address separately. If a relay refuses an address, the other
// addresses still get the message.
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
		// The relay offers STARTTLS, but STARTTLS or the greeting after it failed.
		clear := conversation{host: host, port: port, own: s.Host}
		if again := clear.send(ctx, message, mail.NoTLS, messageTimeout); again != nil {
			return errors.Join(err, fmt.Errorf("in clear: %w", again))
		}
		s.Log.Debugf("emailalert: %s was reached in clear only: %v", m.Relay, err)
		return nil
	}
	return err
}

// message builds the mail to one address.
func (s *Sender) message(m Message, to string) (*mail.Msg, error) {
	own := s.User + "@" + s.Host
	from, err := mailbox.Address(cmp.Or(m.From, own), s.Host)
	if err != nil {
		return nil, fmt.Errorf("sender %q: %w", cmp.Or(m.From, own), err)
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

// maxOutput is how many bytes of the error output of the local mailer are kept.
const maxOutput = 4 << 10

// local gives a message to the local mailer. It does not use the local sender of go-mail, which
// also waits for processes that the mailer has started. An example is Postfix's postdrop, which
// retries without limit.
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

// conversation is one SMTP session with a relay.
type conversation struct {
	host    string
	port    int
	own     string // own is the host name of this director.
	offered bool   // offered says that this host has sent STARTTLS, because the relay offered it.
	// greeted says that the greeting succeeded. After STARTTLS, the greeting was encrypted.
	greeted bool
}

// send opens a connection to the relay and sends a message. send closes the connection when ctx
// ends, because go-mail obeys ctx only while it connects. Some relays offer STARTTLS and then do
// not reply to it. So the time from STARTTLS to the end of the greeting is limited to encrypting.
// The time before STARTTLS can be longer, because some relays delay their greeting on purpose.
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
	// The certificate of the relay is not verified: mail with TLSOpportunistic or NoTLS also goes to
	// relays without encryption.
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
	defer func() { _ = client.Close() }() // A Close error does not matter, because client.Send has already returned the result.
	return client.Send(message)
}

// watchedConn is a connection that calls encrypts when this host sends the command STARTTLS.
type watchedConn struct {
	net.Conn
	encrypts func()
}

// Write writes to the connection. If the text is the command STARTTLS, it first calls encrypts.
func (c watchedConn) Write(text []byte) (int, error) {
	if string(text) == "STARTTLS\r\n" {
		c.encrypts()
	}
	return c.Conn.Write(text)
}
