package control

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// FuzzTalk sends any bytes to a daemon's socket, and reads them where it leaves
// its beat.
func FuzzTalk(f *testing.F) {
	for _, text := range []string{"{\"version\":1,\"request\":\"status\"}\n", "{\"version\":1,\"request\":\"resync\"}\n", "resync\n", "status", "\x00\xff\n", "status\nresync\n", "123.456 10.000\n-t 192.0.2.10:80 192.0.2.21:80\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		if beat, err := parseBeat(string(said)); err == nil {
			_ = Snapshot{LoopAge: beat.Age.Seconds(), Limit: beat.Limit.Seconds()}.Alive()
		}
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
		talk(t.Context(), ours, fake{resyncs: make(chan struct{}, 1)})
		_ = theirs.Close()
		if answer := <-done; time.Since(began) > limit || len(answer) > 0 && !bytes.HasSuffix(answer, []byte("\n")) {
			t.Errorf("%q was answered with %q after %v", said, answer, time.Since(began))
		}
	})
}
