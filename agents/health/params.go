package health

import (
	"strings"
	"time"

	"lvs-agents/internal/config/params"
	"lvs-agents/metadata"
)

// check is a parameter with the name and meaning of a directive in the configuration file.
type check struct {
	params.Directive
	value string
}

// Metadata returns the parameters and actions of the agent.
func (a *Agent) Metadata() metadata.Agent {
	return metadata.Agent{
		Name:  "health",
		Short: "Health daemon for the real servers of an LVS director",
		Long: `Runs directord, which checks real servers and lets only good ones have new connections. A real server that fails its check gets weight 0 or is removed. When no real server of a service is good, its fallback serves.

The virtual services come from a configuration file in ldirectord's syntax (config), or from a resource of type ipvs on the same node (ipvs). With ipvs, the other parameters of the health resource describe the checks.

A real server that is down never makes this resource fail; lvsctl status shows the verdicts on real servers. When the daemon dies or hangs, the table stays as it is, and the next daemon that the cluster starts adopts it. This resource fails when its daemon cannot keep the table for 10 seconds, for example because its ipvs resource was stopped. This time is longer if a check interval is longer than 3 seconds, or with 500 or more real servers. If the ipvs resource is started again within this time, the daemon takes the services over.

Stop removes the daemon's virtual services that belong to no ipvs resource, except those with cleanstop=no. Real servers of an ipvs resource keep their weights for a minute. Another health daemon can take them over within this minute; after the minute, a monitor of ipvs gives them the weights of their configuration. A service can have no good real server and no fallback. Then its real servers get these weights at once, because no daemon checks them any more.

If there is an ipvs resource, start the health resource after it.`,
		Params:    a.params(),
		Arguments: []string{"config"},
		Actions: []metadata.Action{
			{Name: "start", Timeout: 60 * time.Second},
			{Name: "stop", Timeout: 30 * time.Second},
			{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
			{Name: "validate-all", Timeout: 10 * time.Second},
			{Name: "meta-data", Timeout: 5 * time.Second},
		},
		Examples: []metadata.Example{
			{Title: "Checks from a file that every director has", ID: "web-health", Params: [][2]string{{"config", "/etc/ha.d/ldirectord.cf"}}},
			{Title: "Checks for the services of a resource, from the cluster's configuration", ID: "web-health", Params: [][2]string{
				{"ipvs", "web-ipvs"}, {"checktype", "negotiate"}, {"service", "http"}, {"request", "/.health.html"}, {"receive", "OK"}, {"fallback", "127.0.0.1 gate"},
			}},
		},
	}
}

func (a *Agent) params() []metadata.Param {
	params := []metadata.Param{
		{Name: "config", Value: metadata.String(&a.Config), Short: "Configuration file",
			Long: "A file in the syntax of ldirectord.cf with the virtual services and their checks. If there is an ipvs resource for these services, give it the same file. A relative name is looked up in /etc/ha.d, then in /etc/ha.d/conf. Every director needs the same file. Exactly one of config and ipvs is needed."},
		{Name: "ipvs", Value: metadata.String(&a.IPVS), Short: "Resource with the virtual services",
			Long: "The id of a resource of type ipvs that runs on the same node. All its real servers get the check that the other parameters describe. A check that logs in needs config, because parameters do not keep a password secret. Exactly one of config and ipvs is needed."},
		{Name: "attribute", Value: metadata.String(&a.Attribute), Short: "Node attribute with the share of good real servers",
			Long: "In a Pacemaker cluster, the daemon publishes the share of real servers that this node sees as good, for location rules with a score attribute: 0 when none is good, otherwise 500 to 1000 in proportion to their configured weights. Drained real servers count with the verdict of their checks. Start waits for the first value, for at most half of its time. Later values reach the cluster after twice the time that the checks need for a verdict. Stop removes the attribute. When unset, the name is lvs-health- and the id of the resource. With none, no attribute is published."},
	}
	for i := range a.checks {
		c := &a.checks[i]
		p := metadata.Param{Name: c.Name, Value: metadata.String(&c.value), Short: c.Short, Long: c.long()}
		if c.Name == quiescent {
			p.Value = metadata.Boolean(&a.Quiescent)
		}
		params = append(params, p)
	}
	return params
}

// noAttribute is the value of the parameter attribute for no attribute.
const noAttribute = "none"

// quiescent is the name of a directive. The parameter with this name has a boolean value of the
// cluster.
const quiescent = "quiescent"

// markedDown is the name of a directive that takes the place of the default of quiescent.
const markedDown = "on_marked_down"

// long returns the long text of a parameter: the text of the directive, the accepted values, and
// the value when it is unset.
func (c *check) long() string {
	text := c.About
	if c.Name != quiescent {
		text += " Values: " + unquoted(c.Values) + "."
		if c.value == "" && c.Unset != "" {
			text += " When unset: " + unquoted(c.Unset) + "."
		}
	}
	return text + " Can be set only together with ipvs."
}

// unquoted returns a text without its quotes, if the whole text is in quotes.
func unquoted(text string) string {
	if inner, found := strings.CutPrefix(text, `"`); found && strings.Count(inner, `"`) == 1 && strings.HasSuffix(inner, `"`) {
		return strings.TrimSuffix(inner, `"`)
	}
	return text
}

// given returns the values of the check parameters, as the configuration file would spell them.
func (a *Agent) given() params.Checks {
	given := params.Checks{quiescent: "no"}
	if a.Quiescent {
		given[quiescent] = "yes"
	}
	for _, c := range a.checks {
		if c.value != "" {
			given[c.Name] = c.value
		}
	}
	if given[markedDown] != "" && a.Quiescent {
		delete(given, quiescent)
	}
	return given
}
