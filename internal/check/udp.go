package check

import (
	"context"
	"errors"
	"time"
)

// UDP is a check that sends a datagram. With Receive, it is good if a reply matches. Without
// Receive, it fails only if the datagram cannot be sent, or if an ICMP error arrives, for example
// because of a closed port. Silence is good, because most servers do not reply to text that they do
// not understand.
type UDP struct{ Target }

// Check sends the datagram. Without Receive, it waits at most a third of the time for a reply or an
// error.
func (u UDP) Check(ctx context.Context) error {
	question := []byte(unescaped(u.Request))
	if u.Receive != nil {
		return u.exchanging(ctx, "udp", question, func(answer []byte) (bool, error) {
			return true, u.expect(ctx, answer, "the answer")
		})
	}
	deadline, _ := ctx.Deadline()
	// The error of a closed port arrives soon, so a part of the time is enough.
	limited, cancel := context.WithTimeout(ctx, time.Until(deadline)/attempts)
	defer cancel()
	err := u.exchanging(limited, "udp", question, func([]byte) (bool, error) { return true, nil })
	if errors.Is(err, errSilent) && ctx.Err() == nil {
		return nil
	}
	return err
}
