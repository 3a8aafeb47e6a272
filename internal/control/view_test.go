package control

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// TestView checks that the socket for other users tells the status and refuses to change anything.
func TestView(t *testing.T) {
	dir := stateDir(t)
	if listener, err := ListenView(dir, "web"); listener != nil || err != nil {
		t.Errorf("without a directory: %v, %v", listener, err)
	}
	if err := os.Mkdir(viewDir(dir), 0o750); err != nil {
		t.Fatal(err)
	}
	listener, err := ListenView(dir, "web")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(ViewPath(dir, "web")); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	// Without resyncs, a request that reaches the daemon would block.
	go func() { ended <- View(ctx, listener, fake{snapshot: Snapshot{PID: 7}}, new(Feed)) }()
	for _, tt := range []struct{ request, want string }{
		{requestStatus, `"pid":7`},
		{requestResync, "only tells the status"},
		{requestReload, "only tells the status"},
		{requestOrder, "only tells the status"},
	} {
		line, err := encodeRequest(tt.request, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("unix", ViewPath(dir, "web"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(text), tt.want) {
			t.Errorf("%s: %s, %v", tt.request, text, err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
