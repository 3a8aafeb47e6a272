// Package metadata holds the declaration of a resource agent and everything
// that is rendered from it: the parsing of its parameters, the OCF 1.1 XML, the
// man page and the reference page. Parameter names live with their agent.
package metadata

import (
	"fmt"
	"strings"
	"time"

	"lvs-agents/internal/suggest"
)

// Agent declares one resource agent: the only place where its parameters and
// actions are written down.
type Agent struct {
	Name     string // resource type, the last part of ocf:lvs:NAME
	Version  string // of the agent; empty is left out
	Short    string // noun phrase without a full stop
	Long     string // paragraphs separated by an empty line
	Params   []Param
	Actions  []Action
	Examples []Example
	// Arguments are the parameters that the first argument of the script for
	// heartbeat holds, separated by slashes.
	Arguments []string
}

// Param declares one parameter. Its default is the text of Value when the
// agent has just been made.
type Param struct {
	Name     string
	Value    Value
	Required bool
	// Alias is another name that is read when the parameter is not given by its
	// own. It is not advertised.
	Alias string
	// UniqueGroup names the parameters whose values together may be used by
	// one resource only; empty for none.
	UniqueGroup string
	// Reloadable parameters change under a running resource, by reload-agent.
	Reloadable bool
	Short      string // noun phrase without a full stop
	Long       string // what it does, the unit, what happens when unset
}

// Action declares one action. Timeouts and intervals are advice to the
// administrator's tools, not limits.
type Action struct {
	Name     string
	Timeout  time.Duration
	Interval time.Duration // zero for actions that do not recur
	Depth    int           // OCF_CHECK_LEVEL of a monitor
}

// Example is one configured resource for the documents: parameter names and
// values that the agent accepts.
type Example struct {
	Title  string
	ID     string
	Params [][2]string // name and value, in the order to be shown
}

// ParamError is one parameter with a value that cannot be used.
type ParamError struct {
	Name, Value string
	Missing     bool // required, but not given
	Err         error
}

// Error names the parameter, its value and what is wrong.
func (e *ParamError) Error() string {
	if e.Missing {
		return fmt.Sprintf("parameter %s is required", e.Name)
	}
	return fmt.Sprintf("parameter %s=%q: %v", e.Name, e.Value, e.Err)
}

// Unwrap returns the reason.
func (e *ParamError) Unwrap() error { return e.Err }

const prefix = "OCF_RESKEY_"

// Load sets the parameters from an environment of NAME=value strings. An empty
// value counts as not given. A parameter with a bad value keeps its default.
// All errors are returned, in declaration order.
func (a Agent) Load(environ []string) []*ParamError {
	given := make(map[string]string)
	for _, entry := range environ {
		if name, ok := strings.CutPrefix(entry, prefix); ok {
			name, value, _ := strings.Cut(name, "=")
			given[name] = value
		}
	}
	var errs []*ParamError
	for _, p := range a.Params {
		value := given[p.Name]
		if value == "" && p.Alias != "" {
			value = given[p.Alias]
		}
		switch {
		case value == "" && p.Required:
			errs = append(errs, &ParamError{Name: p.Name, Missing: true})
		case value == "":
		default:
			if err := p.Value.Set(value); err != nil {
				errs = append(errs, &ParamError{Name: p.Name, Value: value, Err: err})
			}
		}
	}
	return errs
}

// Unknown returns a warning for each parameter of the environment that the
// agent does not have. Names that Pacemaker adds by itself do not count.
func (a Agent) Unknown(environ []string) []string {
	names := a.names()
	var warnings []string
	for _, entry := range environ {
		name, ok := strings.CutPrefix(entry, prefix)
		name, _, _ = strings.Cut(name, "=")
		if ok && !ownedByPacemaker(name) && !a.has(name) {
			warnings = append(warnings, fmt.Sprintf("unknown parameter %s is ignored%s", name, suggest.Hint(name, names)))
		}
	}
	return warnings
}

func (a Agent) names() []string {
	names := make([]string, 0, len(a.Params))
	for _, p := range a.Params {
		names = append(names, p.Name)
	}
	return names
}

func (a Agent) has(name string) bool {
	for _, p := range a.Params {
		if p.Name == name || p.Alias == name && name != "" {
			return true
		}
	}
	return false
}

// ownedByPacemaker tells whether a name was put into OCF_RESKEY_* by Pacemaker
// itself: CRM_meta_* and crm_feature_set (lib/services and crm_resource, 2.1.5).
func ownedByPacemaker(name string) bool {
	return strings.HasPrefix(name, "CRM_") || strings.HasPrefix(name, "crm_") || name == "OCF_CHECK_LEVEL"
}
