package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"testing"
)

// answer returns the reply to a line, without the line end.
func answer(ctx context.Context, d Daemon, line []byte) []byte {
	r, reply := parse(line)
	if reply == nil {
		reply = encodeReply(serve(ctx, d, r))
	}
	return reply
}

func TestAnswersOnTheWire(t *testing.T) {
	d := fake{snapshot: Snapshot{ID: "web"}, resyncs: make(chan struct{}, 9)}
	failing := fake{err: errors.New("no table"), resyncs: make(chan struct{}, 9)}
	for _, tt := range []struct {
		name, line, want string
		d                Daemon
	}{
		{"resync", `{"version":1,"request":"resync"}`, `{"version":1}`, d},
		{"an argument that is not known", `{"version":1,"request":"resync","arguments":{"x":1}}`, `{"version":1}`, d},
		{"an argument that the status does not know", `{"version":1,"request":"status","arguments":{"x":1}}`, `{"version":1,"error":"arguments of status: json: unknown field \"x\""}`, d},
		{"a failure", `{"version":1,"request":"reload"}`, `{"version":1,"error":"no table"}`, failing},
		{"unknown request", `{"version":1,"request":"dance"}`,
			`{"version":1,"error":"unknown request \"dance\"; this directord knows status, explain, resync, reload, order and events"}`, d},
		{"newer version", `{"version":2,"request":"status"}`,
			`{"version":1,"error":"the client speaks version 2 of the control protocol and this directord version 1; restart the resource so that the installed directord runs"}`, d},
		{"no version", `{"request":"status"}`,
			`{"version":1,"error":"version 0 of the control protocol is unknown; this directord speaks version 1"}`, d},
		{"not JSON", `{status`, `{"version":1,"error":"the request is not a JSON object: invalid character 's' looking for beginning of object key string"}`, d},
		{"a client without versions", "status", "error: this directord speaks version 1 of the control protocol; use the programs of its package", d},
		{"nothing", "", "error: this directord speaks version 1 of the control protocol; use the programs of its package", d},
	} {
		if got := string(answer(t.Context(), tt.d, []byte(tt.line))); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
	}
	var r reply
	if err := json.Unmarshal(answer(t.Context(), d, []byte(`{"version":1,"request":"status"}`)), &r); err != nil || r.Version != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := decodeReply(answer(t.Context(), failing, []byte(`{"version":1,"request":"status"}`)), nil); err == nil || err.Error() != "no table" {
		t.Errorf("got %v", err)
	}
}

// serveReplies is a daemon that sends one reply to each request.
func serveReplies(t *testing.T, dir string, reply func(request string) string) {
	t.Helper()
	listener, err := Listen(dir, "web")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			_, _ = io.WriteString(conn, reply(line))
			_ = conn.Close()
		}
	}()
}

// TestDaemonFromBeforeTheUpgrade checks the client with the replies of a directord from before
// version 1. The replies are as that directord wrote them, one for each request.
func TestDaemonFromBeforeTheUpgrade(t *testing.T) {
	dir := stateDir(t)
	serveReplies(t, dir, wordReply)
	if s, err := Status(t.Context(), dir, "web"); err != nil || s.PID != 7 || s.Limit != 10 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := Resync(t.Context(), dir, "web"); err != nil {
		t.Error(err)
	}
	const want = `directord web: request "reload" is unknown; the daemon was started before the upgrade`
	if err := Reload(t.Context(), dir, "web"); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func wordReply(line string) string {
	switch line {
	case "status\n":
		return `{"id":"web","pid":7,"version":"0.158","config":"w.cf","loop_age":1,"wheel_age":1,"limit":10,"services":null}` + "\n"
	case "resync\n":
		return "done\n"
	case "reload\n":
		return "error: request \"reload\" is unknown\n"
	}
	return "error: request \"{...}\" is unknown\n"
}

func TestRepliesOfOthers(t *testing.T) {
	for line, want := range map[string]string{
		"":                         "the reply is not a JSON object: unexpected end of JSON input",
		"[]":                       "the reply is not a JSON object: json: cannot unmarshal array into Go value of type control.reply",
		"{}":                       "the reply has no version; end the process that listens on the socket, it is not directord",
		`{"version":7,"result":1}`: "it speaks version 7 of the control protocol and this program version 1; use the programs of its package",
	} {
		if err := decodeReply([]byte(line), nil); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", line, err, want)
		}
	}
}

// TestRequestThatIsTooLong checks that the daemon closes the connection without a reply if a
// request is too long. The daemon must continue to serve other clients.
func TestRequestThatIsTooLong(t *testing.T) {
	dir := stateDir(t)
	serving(t, dir, "web", fake{resyncs: make(chan struct{}, 1)})
	conn, err := net.Dial("unix", Path(dir, "web"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, 2*longestRequest)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 10)); n > 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := Status(t.Context(), dir, "web"); err != nil {
		t.Error(err)
	}
}
