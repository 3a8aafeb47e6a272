package policy

import (
	"fmt"
	"time"
)

// Cause is why a server has its weight.
type Cause string

// The causes.
const (
	Passed    Cause = "passed"    // Passed: the checks pass.
	Failed    Cause = "failed"    // Failed: the checks fail.
	Unchecked Cause = "unchecked" // Unchecked: there is no verdict yet.
	Ordered   Cause = "ordered"   // Ordered: an operator has drained the server.
	Said      Cause = "said"      // Said: the server has reported it.
	Rising    Cause = "rising"    // Rising: the server is in its slow start.
	Spare     Cause = "spare"     // Spare: the tiers before have enough healthy servers.
	GaveWay   Cause = "gave-way"  // GaveWay: the fallback serves instead of the server.
	Capped    Cause = "capped"    // Capped: the checks fail, but too many servers are out already.
	Opened    Cause = "fail-open" // Opened: the checks fail, but too few servers are healthy.
	Held      Cause = "held"      // Held: the checks fail, but the server served before the shortage.
	Suspected Cause = "suspected" // Suspected: the checks fail, but the director may be at fault.
)

// Rule returns the directive that decides about a server with the cause. For orders of operators
// and words of the server itself, it returns "order" and "agent".
func (c Cause) Rule() string {
	switch c {
	case Passed, Failed:
		return "checks"
	case Unchecked:
		return "init_state"
	case Ordered:
		return "order"
	case Said:
		return "agent"
	case Rising:
		return "slowstart"
	case Spare:
		return "tier"
	case GaveWay:
		return "shortage=fallback"
	case Capped:
		return "max_ejection_percent"
	case Opened:
		return "shortage=fail-open"
	case Held:
		return "shortage=hold"
	case Suspected:
		return "own_fault"
	}
	return string(c)
}

// Reason explains the weight of one server: Base times Percent, or 0.
type Reason struct {
	Cause Cause
	// Base is the weight of the configuration or of the operator's order.
	Base    int
	Percent int
	Order   Order     // Order is the order that changes the weight. Its Kind is empty without an order.
	Says    Says      // Says is what the server says about itself.
	Initial Initial   // Initial is for the cause Unchecked.
	Until   time.Time // Until is when the cause ends. Zero means unknown.
}

// Weight returns the weight that the reason gives. It is 0 for a server that gets no new
// connections.
func (r Reason) Weight() int {
	switch r.Cause {
	case Failed, Ordered, Said, Spare, GaveWay:
		return 0
	case Passed, Unchecked, Rising, Capped, Opened, Held, Suspected:
	}
	return part(r.Base, r.Percent)
}

// Own reports whether the server itself has changed its weight.
func (r Reason) Own() bool {
	return r.Cause == Said || r.Cause == Failed && r.Says.Down || r.Cause == Passed && r.Percent != 100
}

// String returns the reason in words.
func (r Reason) String() string {
	text := r.cause()
	switch {
	case r.Order.Kind == Weigh && r.Cause != Ordered:
		text += fmt.Sprintf("; %s has set the weight %d%s", r.by(), r.Base, until(r.Order.Until))
	case r.Says.HasWeight && r.Percent != 100 && r.Cause == Passed:
		text += fmt.Sprintf("; the server wants %d %% of its weight", r.Says.Weight)
	}
	return text
}

func (r Reason) cause() string {
	switch r.Cause {
	case Passed:
		return "its checks pass"
	case Failed:
		if r.Says.Down {
			return "the server says that it is down" + comment(r.Says)
		}
		return "its checks fail"
	case Unchecked:
		return "no check has a result yet" + map[Initial]string{AsFound: ", so it stays as found", Up: ", so it counts as up", Down: ", so it counts as down"}[r.Initial]
	case Ordered:
		return fmt.Sprintf("%s has set %s%s", r.by(), r.Order.Kind, until(r.Order.Until))
	case Said:
		return fmt.Sprintf("the server says %s%s", r.Says.Mode, comment(r.Says))
	case Rising:
		return fmt.Sprintf("slow start, %d %% of its weight", r.Percent)
	case Spare:
		return "its tier is not needed"
	case GaveWay:
		return "too few servers are healthy, so the fallback serves"
	case Capped:
		return "its checks fail, but checks have taken out as many servers as they may"
	case Opened:
		return "its checks fail, but too few servers are healthy (fail-open)"
	case Held:
		return "its checks fail, but too few servers are healthy (hold)"
	case Suspected:
		return "its checks fail, but this director suspects itself" + until(r.Until)
	}
	return string(r.Cause)
}

func (r Reason) by() string {
	if r.Order.By == "" {
		return "an operator"
	}
	return r.Order.By
}

func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + t.Local().Format(time.DateTime)
}

func comment(s Says) string {
	if s.Comment == "" {
		return ""
	}
	return ": " + s.Comment
}

// part returns a percentage of a weight, rounded up. So a server whose percentage is above 0 keeps
// a weight above 0.
func part(weight, percent int) int { return (weight*percent + 99) / 100 }
