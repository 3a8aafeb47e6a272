package control

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// Explanation has the services that a Filter selects, and why their real servers have their
// weights.
type Explanation struct {
	ID       string             `json:"id"`
	PID      int                `json:"pid"`
	Version  string             `json:"version"`
	Config   string             `json:"config"`
	Now      time.Time          `json:"now"`
	Services []ExplainedService `json:"services"`
}

// ExplainedService is one service in an Explanation.
type ExplainedService struct {
	ID          string  `json:"id"` // ID is the virtual service in ipvsadm syntax.
	Scheduler   string  `json:"scheduler"`
	Persistence float64 `json:"persistence,omitempty"` // Persistence is in seconds, as in a Service.
	// Record is the resource or the health daemon whose record has the service. It is empty if no
	// record has it.
	Record     string `json:"record,omitempty"`
	RecordPath string `json:"record_path,omitempty"`
	// Holder is the health daemon that has claimed the service. It is empty without a claim.
	Holder string `json:"holder,omitempty"`
	// Trouble is why the daemon must not change the service, or could not read the kernel's table.
	Trouble string `json:"trouble,omitempty"`
	Good    int    `json:"good"`    // Good is the number of good real servers.
	Servers int    `json:"servers"` // Servers is the number of all real servers.
	// Plan has the commands of ipvsadm that lead from the kernel's table to the wanted table.
	Plan  []string          `json:"plan,omitempty"`
	Reals []ExplainedServer `json:"real_servers"`
}

// ExplainedServer is one real server in an Explanation.
type ExplainedServer struct {
	Real
	Tier int `json:"tier,omitempty"`
	// Kernel is the weight in the kernel, or -1 if the kernel does not have the server. It is nil if
	// the table could not be read.
	Kernel *int `json:"kernel_weight,omitempty"`
	// Because is why the real server has its wanted weight.
	Because string `json:"because"`
	// Rule is the directive or the order that decided.
	Rule   string           `json:"rule"`
	Checks []ExplainedCheck `json:"checks,omitempty"`
}

// ExplainedCheck is a check of a real server in an Explanation. All times are in seconds.
type ExplainedCheck struct {
	Kind     string  `json:"check"`    // Kind is the application of the check, or its type.
	Query    string  `json:"query"`    // Query is what the check sends.
	Expected string  `json:"expected"` // Expected is a good reply.
	Interval float64 `json:"interval,omitempty"`
	// FastInterval and DownInterval replace Interval while the verdict is uncertain, and while it is
	// bad. 0 means Interval.
	FastInterval float64 `json:"fast_interval,omitempty"`
	DownInterval float64 `json:"down_interval,omitempty"`
	Timeout      float64 `json:"timeout,omitempty"`
	Fall         int     `json:"fall"`
	Rise         int     `json:"rise"`
	Verdict      string  `json:"verdict"`
	// Failures and Successes are the numbers of checks in a row up to the last one.
	Failures  int `json:"failures,omitempty"`
	Successes int `json:"successes,omitempty"`
	// Next is when the next check starts. It is zero if no check runs.
	Next time.Time `json:"next,omitzero"`
	// Last has the last checks, the newest first. If the Filter selects no real server, it has only
	// the newest check.
	Last []CheckResult `json:"last,omitempty"`
}

// CheckResult is one check that has ended. The phases are in seconds, see check.Trace.
type CheckResult struct {
	Time   time.Time `json:"time"`             // Time is the end of the check.
	Reason string    `json:"reason,omitempty"` // Reason is empty after a success.
	// Hint says that the check was early, because the connections of the server were a hint.
	Hint      bool    `json:"hint,omitempty"`
	Reply     string  `json:"reply,omitempty"`
	Connect   float64 `json:"connect,omitempty"`
	TLS       float64 `json:"tls,omitempty"`
	FirstByte float64 `json:"first_byte,omitempty"`
	Match     float64 `json:"match,omitempty"`
	Total     float64 `json:"total"`
}

// Explain reads why the real servers that a filter selects have their weights. The Explanation has
// no services if the daemon has none that the filter selects.
func Explain(ctx context.Context, stateDir, id string, f Filter) (Explanation, error) {
	var e Explanation
	line, err := encodeRequest(requestExplain, f)
	if err != nil {
		return e, err
	}
	text, err := exchange(ctx, stateDir, id, line)
	if err != nil {
		return e, err
	}
	if bytes.HasPrefix(text, []byte(wordError)) {
		return e, fmt.Errorf("directord %s was started before the upgrade and cannot explain; restart its resource", id)
	}
	if err := decodeReply(text, &e); err != nil {
		return e, fmt.Errorf("directord %s: %w", id, err)
	}
	return e, nil
}

// explain decodes the filter of a request and queries the daemon.
func explain(ctx context.Context, d Daemon, r request) (any, error) {
	filter, err := decodeArguments[Filter](r)
	if err != nil {
		return nil, err
	}
	if filter, err = filter.normal(); err != nil {
		return nil, err
	}
	return d.Explain(ctx, filter)
}
