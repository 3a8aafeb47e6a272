// Package policy decides which real servers of a virtual service get new connections, and with what
// weight. The package has only pure functions: the caller gives verdicts, orders, the statements of
// servers, settings and the time, and gets weights with their reasons. It runs no checks and
// changes no table.
package policy

import (
	"net/netip"
	"time"
)

// Out is the weight of a server that the IPVS table does not have.
const Out = -1

// Verdict is the result of the last checks of a real server.
type Verdict uint8

// The verdicts. Unknown means that no check has given a verdict yet.
const (
	Unknown Verdict = iota
	Good
	Bad
)

// String returns "unknown", "good" or "bad".
func (v Verdict) String() string { return [...]string{"unknown", "good", "bad"}[v] }

// Settings are the policy of one service. The zero value is the policy of ldirectord.
type Settings struct {
	// Initial decides about a server that has no verdict yet.
	Initial Initial
	// SlowStart is how long the weight of a server that comes back rises. 0 means that the server
	// has its whole weight at once.
	SlowStart time.Duration
	// Aggression is the curve of the rise in percent. The weight follows time^(100/Aggression), so
	// 100 is a line, and a larger number gives more weight at the start. 0 means 100.
	Aggression int
	// Floor is the smallest part of the weight in a slow start, in percent. 0 means one connection
	// weight at least.
	Floor int

	// Quorum is the smallest sum of weights of healthy servers. 0 means that one healthy server is
	// enough, even with weight 0.
	Quorum int
	// Hysteresis keeps the state of the quorum: the quorum is lost below Quorum - Hysteresis, and
	// is there again from Quorum + Hysteresis.
	Hysteresis int
	// MinCount and MinPercent are the smallest number and part of healthy servers. The percentage is
	// of the servers that no operator has taken out.
	MinCount, MinPercent int
	// Shortage decides what a service does without its quorum or its minimum.
	Shortage Shortage

	// EjectPercent is the largest part of the servers that checks can take out within EjectWindow.
	// At least one server can go. 0 means no limit.
	EjectPercent int
	// EjectWindow is how long an ejection counts. 0 means that it counts while the server is out.
	EjectWindow time.Duration
	// EjectJitter is the largest extra time in percent of EjectWindow. Each server has another one.
	EjectJitter int

	// TierMin is the number of healthy servers below which the next tier joins. 0 means 1.
	TierMin int
}

// Initial is what a server without a verdict does. The words are HAProxy's.
type Initial string

// The values of Initial.
const (
	AsFound Initial = ""     // AsFound: the server stays as the daemon found it.
	Up      Initial = "up"   // Up: the server serves.
	Down    Initial = "down" // Down: the server gets no new connections.
)

// Shortage is what a service does while too few servers are healthy.
type Shortage string

// The values of Shortage.
const (
	// Fallback: the fallback serves instead of the remaining servers. Without a fallback, the
	// remaining servers continue to serve.
	Fallback Shortage = ""
	FailOpen Shortage = "fail-open" // FailOpen: all servers serve that no operator has taken out.
	// Hold: the servers that served before the shortage continue to serve.
	Hold Shortage = "hold"
)

// Service is one virtual service.
type Service struct {
	Settings
	Servers []Server
	// Fallbacks says that the service has a fallback.
	Fallbacks bool
	// Stay says that a failed server stays in the table with weight 0. Otherwise it is removed.
	Stay bool
}

// Server is the configuration of one real server.
type Server struct {
	Addr   netip.AddrPort
	Weight int
	// Tier 0 serves first. Another tier serves only while too few servers of the tiers before it are
	// healthy.
	Tier int
	// Unchecked says that no check runs and the server never counts as up.
	Unchecked bool
}

// Kind is the kind of an operator's order.
type Kind string

// The kinds of orders. The words are HAProxy's.
const (
	Drain  Kind = "drain"  // Drain: no new connections. Open connections continue.
	Maint  Kind = "maint"  // Maint: as Drain, and the results of checks do not matter.
	Weigh  Kind = "weight" // Weigh: Order.Weight replaces the configured weight.
	Add    Kind = "add"    // Add: the server is not in the configuration. The daemon adds it.
	Remove Kind = "remove" // Remove: the server leaves the table, and its connections end.
)

// Order is an operator's order for one real server.
type Order struct {
	Kind   Kind
	Weight int // Weight is for the kinds Weigh and Add.
	By     string
	Since  time.Time
	Until  time.Time // Until is the end of the order. Zero means that the order has no end.
}

// Active reports whether the order counts at a time.
func (o Order) Active(now time.Time) bool {
	return o.Kind != "" && !now.Before(o.Since) && (o.Until.IsZero() || now.Before(o.Until))
}

// Seen has the facts about one real server.
type Seen struct {
	Verdict Verdict
	Since   time.Time // Since is the time when the verdict began.
	// Found is the weight in the table that the daemon found, or Out.
	Found  int
	Orders []Order
	Says   Says
}

// Says is what a server says about itself. The zero value says nothing.
type Says struct {
	// Weight is the wanted part of the configured weight in percent, if HasWeight is set.
	Weight    int
	HasWeight bool
	Mode      Kind // Mode is Drain or Maint. Empty means that the server is ready.
	Down      bool // Down: the server says that it does not work.
	// MaxConn is the largest number of connections that the server wants. 0 means no limit.
	MaxConn int
	// Comment is the text after #.
	Comment string
}

// Suspicion says that the director itself seems to have a fault. The servers that failed at or
// after From continue to serve until Until.
type Suspicion struct{ From, Until time.Time }

// Input is what a decision depends on, besides the configuration and the memory.
type Input struct {
	Now     time.Time
	Servers []Seen // Servers has one element for each server, in the order of the configuration.
	// Starting says that the daemon has not checked all servers yet. Then no slow start begins.
	Starting bool
	Suspect  Suspicion
}

// Memory is what a decision needs from the decisions before it. The zero value is the memory of a
// service without an earlier decision.
type Memory struct {
	Servers map[netip.AddrPort]Past
	// Short says that the service was without its quorum or its minimum.
	Short bool
	// Capped says that a bad server served because of EjectPercent.
	Capped bool
}

// Past is what a Memory has about one server.
type Past struct {
	Served  bool      // Served says that the server served on its own account.
	Rising  time.Time // Rising is the begin of the slow start. It is zero if none runs.
	Ejected time.Time // Ejected is when checks last took the server out.
	Kept    bool      // Kept says that the server had a weight above 0 before the present shortage.
}

// Decision is the result for one service.
type Decision struct {
	Servers  []Place
	Fallback bool // Fallback says that the fallbacks serve.
	// Short says that the service is without its quorum or its minimum.
	Short  bool
	Alerts []Alert   // Alerts are the changes since the decision before.
	Next   time.Time // Next is when the decision can change although its input stays. Zero means never.
}

// Place is the result for one server.
type Place struct {
	Weight  int // Weight is the weight in the IPVS table, or Out.
	Reason  Reason
	Serving bool // Serving says that the server counts as one that serves, even with weight 0.
	MaxConn int  // MaxConn is Says.MaxConn.
}

// Alert is a change of the state of a service.
type Alert string

// The alerts. quorum_up and quorum_down are keepalived's words.
const (
	QuorumDown Alert = "quorum_down"
	QuorumUp   Alert = "quorum_up"
	CapReached Alert = "ejection_cap_reached"
	CapLeft    Alert = "ejection_cap_left"
)
