package check

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lvs-agents/internal/program"
)

// External is a check that runs a program. It is good if the program ends with status 0. It is not
// good if a signal or the time limit ends the program.
type External struct {
	Program  string
	Args     []string
	Programs *program.Set // Programs limits and runs external programs. It can be nil.
}

// Check runs the program. The error has the name of the program.
func (e External) Check(ctx context.Context) error {
	if err := run(ctx, e.Programs, "", append([]string{e.Program}, e.Args...)); err != nil {
		return fmt.Errorf("%s: %w", e.Program, err)
	}
	return nil
}

// run runs a program with an input. If the program fails, the error contains the output of the
// program without control characters.
func run(ctx context.Context, programs *program.Set, input string, argv []string) error {
	err := programs.RunSession(ctx, program.Command{Argv: argv, Stdin: strings.NewReader(input)})
	if failure, ok := errors.AsType[program.Failure](err); ok {
		failure.Output = printable(failure.Output)
		return failure
	}
	return err
}
