// Package crm holds the resources of a Pacemaker cluster and their constraints. It builds them from
// a configuration, and writes them for crm, for pcs and as XML.
package crm

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
)

// Resources are resources of a cluster with their constraints. All names are unique. The order of
// the lists is the order of the output.
type Resources struct {
	// Setup is the first part of the names of resources. It is the name of everything together.
	Setup string
	// Title is the first paragraph of comments, and Remarks are the next paragraphs.
	Title      string
	Remarks    []string
	Primitives []Primitive
	Groups     []Group
	Clones     []Clone
	// Constraints are Order, Colocation and Location values.
	Constraints []Constraint
	Alerts      []Alert
}

// Pair is a parameter or a meta attribute with its value.
type Pair struct{ Name, Value string }

// secretWords are parts of the names of parameters whose values must not be shown.
var secretWords = []string{"passw", "login", "secret", "key"}

// Shown returns the value as an operator can see it: *** for a password, also of agents of other
// projects.
func (p Pair) Shown() string {
	if slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(p.Name, word) }) {
		return config.Redacted
	}
	return p.Value
}

// Primitive is a resource of an agent.
type Primitive struct {
	ID         string
	Agent      string // Agent is CLASS:PROVIDER:TYPE, ocf:lvs:vip for example.
	Params     []Pair
	Operations []Operation
	Meta       []Pair
}

// Operation is an action with its time limit.
type Operation struct {
	Name     string
	Timeout  time.Duration
	Interval time.Duration // Interval is 0 for an action that the cluster runs once.
	Depth    int           // Depth is the OCF_CHECK_LEVEL of a monitor. 0 means none.
}

// Group is a list of primitives that start in this order on the same node.
type Group struct {
	ID      string
	Members []string
	Meta    []Pair
}

// Clone runs a primitive on several nodes at the same time.
type Clone struct {
	ID     string
	Member string
	Meta   []Pair
}

// Constraint is Order, Colocation or Location.
type Constraint interface {
	crmsh() string
	pcs() string
	xml() element
}

// Order starts First before Then, and stops them in the opposite order.
type Order struct {
	ID, First, Then string
	// Optional: the order counts only if both start or stop at the same time.
	Optional bool
	Comment  string // Comment is a text for the reader. Empty means none.
}

// Colocation puts Resource on the node of With.
type Colocation struct {
	ID, Resource, With string
	Score              Score
	Comment            string
}

// Location changes the score of nodes for Resource. It has a Node or a Rule.
type Location struct {
	ID, Resource string
	Node         string
	Score        Score
	Rule         *Rule
	Comment      string
}

// Rule selects nodes by their attributes. If ScoreAttribute is empty, Score is the score of these
// nodes.
type Rule struct {
	ScoreAttribute string // ScoreAttribute is an attribute of the node whose value is the score.
	Score          Score
	Or             bool // Or: one expression is enough. Otherwise all of them must be true.
	Expressions    []Expression
}

// Expression compares an attribute of a node.
type Expression struct {
	Attribute string
	// Operator is defined, not_defined, lt, gt, lte, gte, eq or ne. The first two have no Value.
	Operator string
	Number   bool // Number: the values are compared as numbers.
	Value    string
}

// Alert runs a program of Pacemaker for events of the cluster.
type Alert struct {
	ID, Path   string
	Options    []Pair
	Recipients []string
}

// Score is the preference for a node.
type Score int

// Infinity is the score that no other score outweighs.
const Infinity Score = 1_000_000

// String returns the score as Pacemaker writes it.
func (s Score) String() string { return s.text("INFINITY") }

func (s Score) text(infinity string) string {
	switch s {
	case Infinity:
		return infinity
	case -Infinity:
		return "-" + infinity
	}
	return strconv.Itoa(int(s))
}

// kind returns Pacemaker's word.
func (o Order) kind() string {
	if o.Optional {
		return "Optional"
	}
	return "Mandatory"
}

// operator returns the boolean operator between the expressions of the rule.
func (r Rule) operator() string {
	if r.Or {
		return "or"
	}
	return "and"
}

// score returns the score of the rule, or the name of its attribute.
func (r Rule) score(infinity string) string { return cmp.Or(r.ScoreAttribute, r.Score.text(infinity)) }

// seconds returns a duration as "20s". If it is not a number of whole seconds, it returns "1500ms".
func seconds(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.Itoa(int(d/time.Second)) + "s"
	}
	return strconv.Itoa(int(d/time.Millisecond)) + "ms"
}
