package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"lvs-agents/internal/disk"
	"lvs-agents/internal/doctor"
)

// examination finds the faults of one part of this host. It can return findings together with an
// error.
type examination struct {
	part string // part names the part in messages.
	find func(context.Context, system) ([]doctor.Finding, error)
}

// absent is the error of an examination that does not apply to this host, for example without a
// cluster. The doctor prints it, and can still print fine.
type absent string

func (a absent) Error() string { return string(a) }

// The times of lvsctl doctor. Its answer is due within 10 seconds.
const (
	// examinationTime is how long an examination can take.
	examinationTime = 8 * time.Second
	// programTime is how long the programs of an examination can take. The examination needs the
	// rest of examinationTime for the findings that do not need a late program.
	programTime = 6 * time.Second
	// hangTime is how much longer the doctor waits for an examination that ignores examinationTime,
	// for example because it reads a file system that hangs.
	hangTime = time.Second
)

// late is the error of a program or file that did not reply in time. It is not a fault: a busy host
// can be the reason.
type late struct {
	what string // what names the program or file that did not reply, for example nft.
	look string // look is what the operator can examine if it stays late.
}

func (l late) Error() string { return l.what + " did not reply in time" }

// look is the field look of an error about a program.
const look = "find what waits: uptime; ps -eo pid,stat,wchan:32,args"

// isLate reports whether an error only says that the time is over.
func isLate(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, disk.ErrSilent) || errors.As(err, new(late))
}

// printError prints why a part is not examined. took is how long its examination took.
func printError(sys system, part string, err error, took time.Duration) {
	if !isLate(err) {
		fmt.Fprintf(sys.stderr, "lvsctl: not examined: %s: %v\n", part, err)
		return
	}
	l := late{"the examination", look}
	errors.As(err, &l)
	fmt.Fprintf(sys.stderr, "lvsctl: not examined: %s: %s did not end within %s; type lvsctl doctor again; if it stays so, %s\n", part, l.what, took.Round(time.Second), l.look)
}

// examine runs the examinations at the same time, and returns their findings in the order of the
// list. It prints each part that it could not examine. complete reports whether each examination
// that applies to this host has ended without an error.
func examine(ctx context.Context, sys system, list []examination) (findings []doctor.Finding, complete bool) {
	ctx, cancel := context.WithTimeout(ctx, examinationTime)
	defer cancel()
	type result struct {
		findings []doctor.Finding
		err      error
		took     time.Duration
	}
	began := time.Now()
	results := make([]chan result, len(list))
	for i, e := range list {
		results[i] = make(chan result, 1) // An examination that hangs can end later without a reader.
		go func() {
			found, err := e.find(ctx, sys)
			results[i] <- result{found, err, time.Since(began)}
		}()
	}
	deadline, _ := ctx.Deadline()
	over, stop := context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(hangTime))
	defer stop()
	complete = true
	for i, e := range list {
		r := result{err: context.DeadlineExceeded, took: deadline.Add(hangTime).Sub(began)}
		select {
		case r = <-results[i]:
		case <-over.Done():
			select {
			case r = <-results[i]:
			default:
			}
		}
		findings = append(findings, r.findings...)
		for _, err := range single(r.err) {
			printError(sys, e.part, err, r.took)
			complete = complete && errors.As(err, new(absent))
		}
	}
	return findings, complete
}

// single returns the errors that errors.Join has joined.
func single(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case ok:
		return joined.Unwrap()
	}
	return []error{err}
}

// ofDirector, ofCluster and ofKernel are the examinations of a director, of its cluster, and of the
// kernel.
var (
	ofDirector = []examination{
		{"the replies of masq servers", func(ctx context.Context, sys system) ([]doctor.Finding, error) {
			return doctor.ExamineDirector(ctx, sys.director)
		}},
		{"the size of packets in tunnels", examineTunnels},
		{"the synchronisation of connections", examineSync},
		{"the hash tables of the other directors", examinePair},
		{"the configuration files", examineFiles},
		{"the hash services", examineHash},
		{"the connections of failed real servers", examineMarkedDown},
	}
	ofCluster = []examination{
		{"the cluster", examineCluster},
	}
	ofKernel = []examination{
		{"the kernel", func(_ context.Context, sys system) ([]doctor.Finding, error) {
			needs, err := needsOf(sys)
			return append(doctor.ExamineKernel(sys.capable, needs), doctor.ExamineLimit(sys.capable)...), err
		}},
	}
)
