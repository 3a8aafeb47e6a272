package control

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// FuzzTalk sends any bytes to a daemon, and checks that every reply ends with a line end and comes
// in time.
func FuzzTalk(f *testing.F) {
	for _, text := range []string{"{\"version\":1,\"request\":\"status\"}\n", "{\"version\":1,\"request\":\"resync\"}\n", "resync\n", "status", "\x00\xff\n", "status\nresync\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := net.Pipe()
		done := make(chan []byte)
		go func() {
			answer, _ := io.ReadAll(theirs)
			done <- answer
		}()
		go func() {
			_, _ = theirs.Write(said)
			if !bytes.Contains(said, []byte("\n")) {
				_ = theirs.Close()
			}
		}()
		began := time.Now()
		talk(t.Context(), ours, fake{resyncs: make(chan struct{}, 1)}, new(Feed))
		_ = theirs.Close()
		if answer := <-done; time.Since(began) > limit || len(answer) > 0 && !bytes.HasSuffix(answer, []byte("\n")) {
			t.Errorf("%q was answered with %q after %v", said, answer, time.Since(began))
		}
	})
}
