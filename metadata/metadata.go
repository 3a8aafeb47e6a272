// Package metadata holds the declaration of a resource agent. From the declaration it parses the
// parameters and renders the man page and the reference page. Package ocfxml renders the OCF 1.1
// XML. The package of each agent declares its parameters.
package metadata

import (
	"fmt"
	"strings"
	"time"

	"lvs-agents/internal/suggest"
)

// Agent declares one resource agent with all of its parameters and actions.
type Agent struct {
	Name string // Name is the resource type, the last part of ocf:lvs:NAME.
	// Version is the version of the agent. If it is empty, the documents do not show it.
	Version  string
	Short    string // Short is a noun phrase without a full stop.
	Long     string // Long is the description. An empty line separates its paragraphs.
	Params   []Param
	Actions  []Action
	Examples []Example
	// Arguments are the parameters in the first argument of the script for heartbeat, which
	// separates them by slashes.
	Arguments []string
}

// Param declares one parameter. Its default is the text of Value in a new agent.
type Param struct {
	Name     string
	Value    Value
	Required bool
	// Alias is another name of the parameter. Load uses it if Name is not given. It is not
	// advertised.
	Alias string
	// UniqueGroup is a group of parameters. Two resources must not have the same values for all
	// parameters of a group. It is empty for no group.
	UniqueGroup string
	// Reloadable means that reload-agent changes the parameter of a running resource.
	Reloadable bool
	Short      string // Short is a noun phrase without a full stop.
	// Long is the effect of the parameter, its unit, and what happens when it is unset.
	Long string
}

// Action declares one action. The timeout and interval are advice for the operator's tools, not
// limits.
type Action struct {
	Name    string
	Timeout time.Duration
	// Interval is the time between two runs. It is zero for actions that the cluster runs once.
	Interval time.Duration
	Depth    int // Depth is the OCF_CHECK_LEVEL of a monitor.
}

// Example is one configured resource for the documents. The agent accepts its parameters.
type Example struct {
	Title  string
	ID     string
	Params [][2]string // Params are names and values, in the order of the documents.
}

// ParamError is one parameter whose value is missing or invalid.
type ParamError struct {
	Name, Value string
	Missing     bool // Missing says that a required parameter was not given.
	Err         error
}

// Error returns the name of the parameter, its value and the reason.
func (e *ParamError) Error() string {
	if e.Missing {
		return fmt.Sprintf("parameter %s is required", e.Name)
	}
	return fmt.Sprintf("parameter %s=%q: %v", e.Name, e.Value, e.Err)
}

// Unwrap returns the reason.
func (e *ParamError) Unwrap() error { return e.Err }

const prefix = "OCF_RESKEY_"

// Load sets the parameters from an environment of NAME=value strings. An empty value counts as not
// given. A parameter with an invalid value keeps its default. Load returns all errors, in the order
// of the declaration.
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

// Unknown returns a warning for each parameter of the environment that the agent does not have. It
// ignores the names that Pacemaker adds.
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

// ownedByPacemaker reports whether a name in OCF_RESKEY_* can come from Pacemaker: OCF_CHECK_LEVEL,
// CRM_meta_* and crm_feature_set (lib/services and crm_resource, 2.1.5).
func ownedByPacemaker(name string) bool {
	return strings.HasPrefix(name, "CRM_") || strings.HasPrefix(name, "crm_") || name == "OCF_CHECK_LEVEL"
}
