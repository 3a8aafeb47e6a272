package main

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	// hangTime is when the doctor stops waiting for an examination that ignores examinationTime,
	// for example because it reads a file system that hangs.
	hangTime = 9 * time.Second
)

// errHangs is the error of an examination that has not returned after hangTime.
var errHangs = errors.New("it has not ended in time")

// examine runs the examinations at the same time, and returns their findings in the order of the
// list. It prints each part that it could not examine. complete reports whether each examination
// that applies to this host has ended without an error.
func examine(ctx context.Context, sys system, list []examination) (findings []doctor.Finding, complete bool) {
	ctx, cancel := context.WithTimeout(ctx, examinationTime)
	defer cancel()
	type result struct {
		findings []doctor.Finding
		err      error
	}
	results := make([]chan result, len(list))
	for i, e := range list {
		results[i] = make(chan result, 1) // An examination that hangs can end later without a reader.
		go func() {
			found, err := e.find(ctx, sys)
			results[i] <- result{found, err}
		}()
	}
	late, stop := context.WithTimeout(context.WithoutCancel(ctx), hangTime)
	defer stop()
	complete = true
	for i, e := range list {
		r := result{err: errHangs}
		select {
		case r = <-results[i]:
		case <-late.Done():
			select {
			case r = <-results[i]:
			default:
			}
		}
		findings = append(findings, r.findings...)
		for _, err := range single(r.err) {
			fmt.Fprintf(sys.stderr, "lvsctl: not examined: %s: %v\n", e.part, err)
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
