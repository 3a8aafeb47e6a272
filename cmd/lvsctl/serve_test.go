package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestServe scrapes the metrics of a node without a daemon, and checks that other paths and methods
// get nothing.
func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	var problems bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--listen=127.0.0.1:0"}, system{stdout: out, stderr: &problems, stateDir: t.TempDir()})
	}()
	line := make([]byte, 200)
	n, err := in.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(strings.TrimPrefix(string(line[:n]), "lvsctl: "))
	for _, tt := range []struct {
		method, url string
		want        int
	}{
		{http.MethodGet, url, http.StatusOK},
		{http.MethodPost, url, http.StatusMethodNotAllowed},
		{http.MethodGet, strings.Replace(url, "metrics", "", 1), http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(ctx, tt.method, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != tt.want {
			t.Errorf("%s %s: %s", tt.method, tt.url, response.Status)
		}
	}
	cancel()
	if code := <-ended; code != 0 || problems.Len() > 0 {
		t.Errorf("exit code %d: %s", code, &problems)
	}
}
