package check

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/check/oracle"
	"lvs-agents/internal/program"
)

// Oracle is a check that runs a helper program. The helper logs in and, with Request, runs a query.
// The helper is a separate program because the Oracle library is larger than the rest of the
// daemon.
type Oracle struct{ Target }

func newOracle(_ string, t Target) (Checker, error) {
	if t.Login == "" {
		return nil, errLogin("oracle")
	}
	if t.Database == "" {
		return nil, errors.New(`service=oracle needs a database; add database="SID"`)
	}
	return Oracle{t}, nil
}

// Check runs the helper program, and returns the reason that the helper prints.
func (o Oracle) Check(ctx context.Context) error {
	input, err := json.Marshal(oracle.Question{
		Addr: o.Addr, Source: o.Source.Source(o.Addr.Addr()),
		Login: o.Login, Passwd: o.Passwd, Database: o.Database, Query: o.query(),
	})
	if err != nil {
		return err
	}
	err = run(ctx, o.Programs, string(input), []string{o.Helper})
	failed, ended := errors.AsType[program.Failure](err)
	switch {
	case errors.Is(err, program.ErrMissing):
		err = errors.New(o.Helper + " is missing, which talks to Oracle; install it")
	case errors.Is(err, unix.EAGAIN): // EAGAIN means that this host lacks a resource. The server is not at fault.
	case ctx.Err() != nil:
		err = errSilent
	case ended && strings.HasPrefix(failed.Output, "panic:"): // The library in the helper program has panicked.
		err = errors.New("not an answer of Oracle")
	case ended && failed.Output != "":
		err = errors.New(failed.Output)
	}
	return named("oracle", o.Addr, err)
}
