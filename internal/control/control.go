// Package control is the protocol between a running health daemon and its clients. The daemon has a
// unix socket below the state directory. For each connection, the daemon answers one request, or
// sends events. docs/control.md describes the protocol for other programs.
package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/state"
)

// Snapshot is the state of a daemon at one moment.
type Snapshot struct {
	ID      string `json:"id"`
	PID     int    `json:"pid"`
	Version string `json:"version"`
	// Config is the path of the configuration file, or "resource" and the id of the ipvs resource
	// that has the configuration, for example "resource web-ipvs".
	Config string `json:"config"`
	// Digest is a digest of the configuration file that the daemon has read last. It is empty for a
	// configuration of an ipvs resource.
	Digest  string    `json:"digest,omitempty"`
	Started time.Time `json:"started"`
	Now     time.Time `json:"now"`
	// LoopAge is the time in seconds since the daemon last compared the IPVS table with success and
	// held all its services.
	LoopAge float64 `json:"loop_age"`
	// WheelAge is the time in seconds since the daemon last started the checks that were due, or
	// found that none was due.
	WheelAge float64 `json:"wheel_age"`
	// Limit is the limit of both ages in seconds. The daemon does not work if an age is above
	// Limit.
	Limit float64 `json:"limit"`
	// Trouble is why the IPVS table differs from the wanted table, why a configuration was refused,
	// or why checks cannot be sent. It is empty without trouble.
	Trouble string `json:"trouble,omitempty"`
	// Refused is why the daemon refused the last configuration, and uses the one before. It is empty
	// if the daemon accepted the last configuration.
	Refused string `json:"refused,omitempty"`
	// Attribute is the node attribute that the daemon publishes. It is nil for none, and outside of
	// a cluster.
	Attribute *Attribute `json:"attribute,omitempty"`
	// HashTables is the text of lvs.Table.HashTables for the services of the daemon. It is empty
	// while the kernel has another table, and if no service has the fallback flag of mh or sh.
	HashTables string    `json:"hash_tables,omitempty"`
	Services   []Service `json:"services"`
}

// Attribute is a node attribute of Pacemaker in a Snapshot.
type Attribute struct {
	Name string `json:"name"`
	// Value is the value that the daemon last published. It is empty before the daemon has
	// published a value.
	Value string `json:"value,omitempty"`
	// Trouble is why the last value could not be published. It is empty after a success.
	Trouble string `json:"trouble,omitempty"`
}

// Pending reports whether the first attempt to publish a value has not ended yet. A nil Attribute
// is not pending.
func (a *Attribute) Pending() bool { return a != nil && a.Value == "" && a.Trouble == "" }

// Service is a virtual service in a Snapshot.
type Service struct {
	ID        string `json:"id"` // ID is the virtual service in ipvsadm syntax.
	Scheduler string `json:"scheduler"`
	// Persistence is the timeout of the persistence in seconds. 0 means no persistence.
	Persistence float64 `json:"persistence,omitempty"`
	// MarkedDown is the setting on_marked_down: "keep", "expire" or "reset". It is empty if quiescent
	// decides about the connections of a real server that is down.
	MarkedDown string `json:"on_marked_down,omitempty"`
	// Trouble is the reason why the kernel can have other weights than the daemon wants. Empty means
	// that there is no reason.
	Trouble string `json:"trouble,omitempty"`
	// Shortage is what serves while too few real servers are good: "fallback", "fail-open" or "hold".
	// It is empty while enough are good, and for a service without a policy.
	Shortage string `json:"shortage,omitempty"`
	Reals    []Real `json:"real_servers"`
	Fallback *Real  `json:"fallback,omitempty"` // Fallback is the first fallback of the service. Nil means that the service has none.
	// OtherFallbacks are the other fallbacks. All fallbacks serve at the same time.
	OtherFallbacks []Real `json:"other_fallbacks,omitempty"`
	// Counts are the sums over Reals in a summary, where Reals is nil. Otherwise Counts is nil.
	Counts *Counts `json:"counts,omitempty"`
}

// Counts are sums over the real servers of a service.
type Counts struct {
	Good       int `json:"good"`
	Bad        int `json:"bad"`
	Unknown    int `json:"unknown"`
	Serving    int `json:"serving"` // Serving is the number of real servers with a weight above 0.
	Weight     int `json:"weight"`  // Weight is the sum of the weights that the kernel must have.
	Configured int `json:"configured_weight"`
}

// Count returns the Counts of a service from a summary, or counts its real servers.
func (s Service) Count() Counts {
	if s.Counts != nil {
		return *s.Counts
	}
	var c Counts
	for _, r := range s.Reals {
		switch r.Verdict {
		case "good":
			c.Good++
		case "bad":
			c.Bad++
		case "unknown":
			c.Unknown++
		}
		if r.Weight > 0 {
			c.Serving++
		}
		c.Weight += max(r.Weight, 0)
		c.Configured += r.Configured
	}
	return c
}

// Real is a real server, or a fallback, in a Snapshot.
type Real struct {
	Addr    string `json:"address"`
	Forward string `json:"forward"`
	// Weight is the weight that the kernel must have. It is -1 if the kernel must not have the
	// server.
	Weight     int    `json:"weight"`
	Configured int    `json:"configured_weight"`
	Verdict    string `json:"verdict,omitempty"`
	// Since is when the verdict began. It is zero for a fallback.
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason,omitempty"`
	// Policy is why the real server has its weight, if its service has a policy. It is empty for a
	// fallback. Cause is the first part of Policy as one word: a policy.Cause.
	Policy string `json:"policy,omitempty"`
	Cause  string `json:"cause,omitempty"`
	// Orders are the orders of operators that count now.
	Orders []Order `json:"orders,omitempty"`
	// Traffic are the connections of the server. lvsctl sets it; it is nil in the reply of a daemon.
	Traffic *Traffic `json:"traffic,omitempty"`
}

// Traffic are the connections of a real server, as the kernel of the client counts them. The rates
// are per second.
type Traffic struct {
	Active   uint32 `json:"active"`   // Active is the number of established connections.
	Inactive uint32 `json:"inactive"` // Inactive is the number of other connections.
	ConnRate uint32 `json:"conn_rate"`
	InRate   uint32 `json:"in_rate"`  // InRate is the number of bytes from clients.
	OutRate  uint32 `json:"out_rate"` // OutRate is the number of bytes to clients.
}

// Alive returns an error if LoopAge or WheelAge is above Limit.
func (s Snapshot) Alive() error {
	if s.LoopAge > s.Limit && s.WheelAge <= s.Limit && s.Trouble != "" {
		return fmt.Errorf("directord %d could not write the wanted IPVS table for %.1f s, more than %.0f s: %s", s.PID, s.LoopAge, s.Limit, s.Trouble)
	}
	if age := max(s.LoopAge, s.WheelAge); age > s.Limit {
		err := fmt.Errorf("directord %d hangs: it has not updated the IPVS table or run checks for %.1f s (limit %.0f s)", s.PID, age, s.Limit)
		if s.Trouble != "" {
			err = fmt.Errorf("%w: %s", err, s.Trouble)
		}
		return err
	}
	return nil
}

// summary returns the snapshot with the Counts of each service in place of its real servers.
func (s Snapshot) summary() Snapshot {
	s.Services = slices.Clone(s.Services)
	for i := range s.Services {
		counts := s.Services[i].Count()
		s.Services[i].Reals, s.Services[i].Counts = nil, &counts
	}
	return s
}

// Unknown counts the real servers that have no verdict yet.
func (s Snapshot) Unknown() int {
	n := 0
	for _, service := range s.Services {
		for _, real := range service.Reals {
			if real.Verdict == "unknown" {
				n++
			}
		}
	}
	return n
}

// Path returns the path of the control socket of a daemon.
func Path(stateDir, id string) string {
	return filepath.Join(state.DaemonDir(stateDir), state.SocketName(id)+".sock")
}

// ViewPath returns the path of the socket where users other than root read the state of a daemon.
// The daemon makes this socket only if its directory exists, see ListenView.
func ViewPath(stateDir, id string) string {
	return filepath.Join(viewDir(stateDir), state.SocketName(id)+".sock")
}

func viewDir(stateDir string) string { return filepath.Join(stateDir, "view") }

// IDs returns the sorted ids of the daemons that have a control socket. A socket can be left from a
// daemon that died. An id is in the form of state.SocketName, which all functions of this package
// accept.
func IDs(stateDir string) ([]string, error) {
	entries, err := os.ReadDir(state.DaemonDir(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, entry := range entries {
		if id, ok := strings.CutSuffix(entry.Name(), ".sock"); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Status reads the state of a daemon from its control socket.
func Status(ctx context.Context, stateDir, id string) (Snapshot, error) {
	var s Snapshot
	err := call(ctx, stateDir, id, question{name: requestStatus, result: &s})
	return s, err
}

// Summary reads the state of a daemon without its real servers. A daemon from before the summary
// replies with its real servers. Service.Count works with both replies.
func Summary(ctx context.Context, stateDir, id string) (Snapshot, error) {
	var s Snapshot
	err := call(ctx, stateDir, id, question{name: requestStatus, arguments: detail{Summary: true}, result: &s})
	return s, err
}

// Resync makes a daemon compare and repair the whole IPVS table now. It returns nil after the
// daemon has done this.
func Resync(ctx context.Context, stateDir, id string) error {
	return call(ctx, stateDir, id, question{name: requestResync})
}

// Reload makes a daemon read its configuration again. It returns nil when the daemon uses the new
// configuration, or the reason why the daemon refused it.
func Reload(ctx context.Context, stateDir, id string) error {
	return call(ctx, stateDir, id, question{name: requestReload})
}

// question is a request with its arguments, and the place for the result of the reply.
type question struct {
	name      string
	arguments any // arguments is nil for a request without arguments.
	result    any // result is nil for a reply without a result.
}

// call sends a request and decodes the result of the reply.
func call(ctx context.Context, stateDir, id string, q question) error {
	line, err := encodeRequest(q.name, q.arguments)
	if err != nil {
		return err
	}
	text, err := exchange(ctx, stateDir, id, line)
	if err != nil {
		return err
	}
	// A daemon from before version 1 reads only requests without a version.
	if bytes.HasPrefix(text, []byte(wordError)) {
		if text, err = exchange(ctx, stateDir, id, []byte(q.name)); err != nil {
			return err
		}
		err = decodeWordReply(text, q.result)
	} else {
		err = decodeReply(text, q.result)
	}
	if err != nil {
		return fmt.Errorf("directord %s: %w", id, err)
	}
	return nil
}

// exchange sends a line and returns the reply without its line end.
func exchange(ctx context.Context, stateDir, id string, line []byte) ([]byte, error) {
	conn, done, err := dial(ctx, stateDir, id)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("directord %s does not reply: %w", id, err)
	}
	text, err := io.ReadAll(io.LimitReader(conn, longestAnswer+1))
	if len(text) > longestAnswer {
		return nil, fmt.Errorf("directord %s sends a reply of more than %d MiB; end the process that listens on %s, it is not directord", id, longestAnswer>>20, Path(stateDir, id))
	}
	if err == nil && !bytes.HasSuffix(text, []byte("\n")) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // The end of ctx has closed the connection, so its error is the reason.
	}
	if err != nil {
		return nil, fmt.Errorf("directord %s does not reply: %w", id, err)
	}
	return bytes.TrimSpace(text), nil
}

// dial connects to a daemon. The connection is closed when ctx ends, or when the caller calls done.
func dial(ctx context.Context, stateDir, id string) (conn net.Conn, done func(), err error) {
	// In a directory that other users can write, a program of another user could listen on the socket.
	if err := state.Trust(state.DaemonDir(stateDir)); err != nil {
		return nil, nil, fmt.Errorf("querying directord %s: %w", id, err)
	}
	path := Path(stateDir, id)
	if errors.Is(unix.Access(path, unix.W_OK), fs.ErrPermission) {
		path = ViewPath(stateDir, id)
	}
	conn, err = (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, nil, fmt.Errorf("querying directord %s: %w", id, explained(err, path))
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return conn, func() {
		stop()
		_ = conn.Close()
	}, nil
}

// longestAnswer is the longest reply in bytes. It has room for a hundred thousand real servers with
// long reasons.
const longestAnswer = 64 << 20

// explained adds the reason and the fix to the error of a connection attempt to a socket.
func explained(err error, path string) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; do it as root, or let a group read the status (docs/monitoring.md)", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("the daemon has died and left its socket (%w); start it again, or remove %s", err, path)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the daemon does not run: %w", err)
	}
	return err
}

// ServeVerb is the first argument of a directord process that is the daemon itself. The command
// directord and the health agent start the daemon with it.
const ServeVerb = "--serve"

// PIDFile returns the path of the pid file of a daemon, see package pidfile.
func PIDFile(stateDir, id string) string {
	return filepath.Join(state.DaemonDir(stateDir), state.SocketName(id)+".pid")
}
