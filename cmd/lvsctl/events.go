package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
)

type eventsCommand struct {
	Service string `placeholder:"SERVICE" help:"Only events of this virtual service: ADDRESS:PORT, a firewall mark, or as status --json prints it."`
	Server  string `placeholder:"ADDRESS" help:"Only events of this real server: ADDRESS or ADDRESS:PORT."`
	JSON    bool   `help:"Print a JSON object for each event, one per line." name:"json"`
}

// Run prints the events of all health daemons on this node. It returns when ctx ends or all daemons
// have ended.
func (c eventsCommand) Run(ctx context.Context, sys system) error {
	ids, err := control.IDs(sys.stateDir)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return errors.New("no health daemon runs on this node")
	}
	write := func(e control.Event) error {
		_, err := fmt.Fprintln(sys.stdout, eventLine(e))
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(sys.stdout)
		write = func(e control.Event) error { return encoder.Encode(e) }
	}
	var output sync.Mutex
	var readers sync.WaitGroup
	for _, id := range ids {
		readers.Go(func() {
			err := control.Events(ctx, sys.stateDir, id, control.Filter{Service: c.Service, Server: c.Server}, func(e control.Event) error {
				output.Lock()
				defer output.Unlock()
				return write(e)
			})
			output.Lock()
			defer output.Unlock()
			if ctx.Err() == nil {
				failed(sys, err)
			}
		})
	}
	readers.Wait()
	if ctx.Err() == nil {
		return errNo // The program has already printed a reason for each daemon.
	}
	return nil
}

// eventLine returns the text line for an event.
func eventLine(e control.Event) string {
	words := []string{e.Daemon, strings.ReplaceAll(e.Kind, "_", " "), e.Service, e.Server, eventDetails(e), e.Reason}
	if !e.Time.IsZero() {
		words = append([]string{e.Time.Format(time.DateTime)}, words...)
	}
	var line strings.Builder
	for _, word := range words {
		if word == "" {
			continue
		}
		if line.Len() > 0 {
			line.WriteString("  ")
		}
		line.WriteString(word)
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
		details = append(details, "after "+(time.Duration(e.Lasted*float64(time.Second))).Round(time.Second).String())
	}
	return strings.Join(details, ", ")
}
