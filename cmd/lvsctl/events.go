package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
)

type eventsCommand struct {
	Watch   bool   `short:"w" help:"Print each new event, until lvsctl is interrupted or all daemons have ended. Without --since and --lines, print no earlier events."`
	Since   string `placeholder:"TIME" help:"Print the events since this time: a duration before now, for example 30m or 12h, or a local time in the form 2006-01-02 15:04."`
	Lines   int    `short:"n" placeholder:"N" help:"Print only the last N of the earlier events."`
	Service string `placeholder:"SERVICE" help:"Only events of this virtual service: ADDRESS:PORT, ADDRESS, a firewall mark, or as status --json prints it."`
	Server  string `placeholder:"ADDRESS" help:"Only events of this real server: ADDRESS or ADDRESS:PORT."`
	JSON    bool   `help:"Print a JSON object for each event, one per line." name:"json"`
}

// Run prints the kept events of all health daemons on this node. With Watch, it continues with the
// new events.
func (c eventsCommand) Run(ctx context.Context, sys system) error {
	from, err := c.from(sys.now())
	if err != nil {
		return err
	}
	if c.Watch {
		return c.watch(ctx, sys, from)
	}
	ids, err := control.KeptIDs(sys.stateDir)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return errors.New("no health daemon of this node has kept an event since the boot; lvsctl events -w waits for new ones")
	}
	past, err := c.past(sys, ids, from)
	if err != nil {
		return err
	}
	for _, e := range past {
		if err := c.print(sys, e); err != nil {
			return err
		}
	}
	return nil
}

// from returns the time in Since. It is zero if Since is empty.
func (c eventsCommand) from(now time.Time) (time.Time, error) {
	if c.Since == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(c.Since); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", time.DateOnly, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, c.Since, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %q is neither a duration such as 30m nor a time such as \"2006-01-02 15:04\"", c.Since)
}

// past returns the kept events of daemons, the oldest first.
func (c eventsCommand) past(sys system, ids []string, from time.Time) ([]control.Event, error) {
	var past []control.Event
	for _, id := range ids {
		events, err := control.Past(sys.stateDir, id, control.Filter{Service: c.Service, Server: c.Server})
		if err != nil {
			return nil, err
		}
		past = append(past, events...)
	}
	past = slices.DeleteFunc(past, func(e control.Event) bool { return e.Time.Before(from) })
	slices.SortStableFunc(past, func(a, b control.Event) int { return a.Time.Compare(b.Time) })
	if c.Lines > 0 {
		past = past[max(0, len(past)-c.Lines):]
	}
	return past, nil
}

func (c eventsCommand) print(sys system, e control.Event) error {
	line := eventLine(e)
	if c.JSON {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		line = inert(string(text))
	}
	_, err := fmt.Fprintln(sys.stdout, line)
	return err
}

// watch prints the kept events, if the command line selects some, and then the new events. It first
// connects to the daemons, so that no event is lost between the kept and the new events.
func (c eventsCommand) watch(ctx context.Context, sys system, from time.Time) error {
	ids, err := control.IDs(sys.stateDir)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return noDaemon(ctx, sys)
	}
	var output sync.Mutex // output also protects seen.
	seen := map[string]bool{}
	output.Lock()
	var joining, readers sync.WaitGroup
	for _, id := range ids {
		joining.Add(1)
		accepted := make(chan struct{})
		joined := sync.OnceFunc(func() {
			close(accepted)
			joining.Done()
		})
		reading, ended := context.WithCancel(ctx)
		readers.Go(func() {
			reportSilence(reading, sys.stateDir, id, accepted, func(text string) {
				output.Lock()
				defer output.Unlock()
				fmt.Fprintf(sys.stderr, "lvsctl: directord %s %s\n", inert(id), text)
			})
		})
		readers.Go(func() {
			defer ended()
			err := control.Events(ctx, sys.stateDir, id, control.Watch{
				Filter: control.Filter{Service: c.Service, Server: c.Server}, Begun: joined,
				Each: func(e control.Event) error {
					output.Lock()
					defer output.Unlock()
					if seen[eventKey(e)] {
						return nil
					}
					return c.print(sys, e)
				},
			})
			joined()
			output.Lock()
			defer output.Unlock()
			if ctx.Err() == nil {
				failed(sys, err)
			}
		})
	}
	wait(&joining, patience)
	err = c.printPast(sys, from, seen)
	output.Unlock()
	if err != nil {
		return err
	}
	readers.Wait()
	if ctx.Err() == nil {
		return errNo // The program has already printed a reason for each daemon.
	}
	return nil
}

// silencePeriod is the time between two queries whether a daemon still replies.
const silencePeriod = time.Second

// reportSilence reports that a daemon does not reply, and that it replies again, until ctx ends. A
// daemon that hangs sends no events, but its connections stay open. The channel joined is closed
// when the daemon has accepted the first request for events.
func reportSilence(ctx context.Context, stateDir, id string, joined <-chan struct{}, report func(text string)) {
	silent := false
	fell := func() {
		silent = true
		report(fmt.Sprintf("has not replied for %s; its events are missing until it replies", patience))
	}
	select {
	case <-joined:
	case <-time.After(patience):
		fell()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(silencePeriod):
		}
		switch err := accepts(ctx, stateDir, id); {
		case ctx.Err() != nil:
			return
		case !silent && errors.Is(err, context.DeadlineExceeded):
			fell()
		case silent && err == nil:
			silent = false
			report("replies again")
		}
	}
}

// accepts returns nil if a daemon accepts a request for events within the time patience.
func accepts(ctx context.Context, stateDir, id string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	accepted := false
	err := control.Events(ctx, stateDir, id, control.Watch{
		Begun: func() {
			accepted = true
			cancel()
		},
		Each: func(control.Event) error { return nil },
	})
	if accepted {
		return nil
	}
	return err
}

// printPast prints the kept events if the command line selects some. It adds them to seen.
func (c eventsCommand) printPast(sys system, from time.Time, seen map[string]bool) error {
	if c.Since == "" && c.Lines == 0 {
		return nil
	}
	ids, err := control.KeptIDs(sys.stateDir)
	if err != nil {
		return err
	}
	past, err := c.past(sys, ids, from)
	if err != nil {
		return err
	}
	for _, e := range past {
		seen[eventKey(e)] = true
		if err := c.print(sys, e); err != nil {
			return err
		}
	}
	return nil
}

// eventKey returns a text that is equal for a kept event and for the same event from the daemon.
func eventKey(e control.Event) string {
	return fmt.Sprint(e.Daemon, e.Time.UnixNano(), e.Kind, e.Service, e.Server, e.Op)
}

// wait waits for a group, but not longer than limit.
func wait(group *sync.WaitGroup, limit time.Duration) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// eventLine returns the text line for an event.
func eventLine(e control.Event) string {
	words := []string{e.Daemon, strings.ReplaceAll(e.Kind, "_", " "), e.Service, e.Server, eventDetails(e), e.Reason}
	if e.Undone != "" {
		words = append(words, "undid a change by another program: "+e.Undone)
	}
	if !e.Time.IsZero() {
		words = append([]string{e.Time.Local().Format(time.DateTime)}, words...)
	}
	var line strings.Builder
	for _, word := range words {
		if word == "" {
			continue
		}
		if line.Len() > 0 {
			line.WriteString("  ")
		}
		line.WriteString(inert(word))
	}
	return line.String()
}

// eventDetails returns the weights, counts and times of an event.
func eventDetails(e control.Event) string {
	var details []string
	switch {
	case e.From != nil && e.To != nil:
		details = append(details, fmt.Sprintf("weight %s -> %s", weightText(*e.From), weightText(*e.To)))
	case e.To != nil:
		details = append(details, "weight "+weightText(*e.To))
	case e.Kind == string(health.CheckFailed):
		details = append(details, fmt.Sprintf("failure %d/%d", e.Failures, e.Fall))
	case e.Dropped > 0:
		details = append(details, strconv.Itoa(e.Dropped))
	}
	if e.Lasted > 0 {
		before := map[string]string{string(health.ServerUp): "was bad for ", string(health.ServerDown): "was good for "}[e.Kind]
		details = append(details, cmp.Or(before, "after ")+(time.Duration(e.Lasted*float64(time.Second))).Round(time.Second).String())
	}
	return strings.Join(details, ", ")
}
