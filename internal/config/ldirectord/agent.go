package ldirectord

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// defaultAgentInterval is the default of HAProxy's agent-inter.
const defaultAgentInterval = 2 * time.Second

// ofAgent returns the directives for config.Agent. ldirectord has none of them.
func ofAgent() []directive {
	return []directive{
		{name: "agent_check", short: "Whether real servers report their own state", where: inBoth, class: yesOrNo, set: setChoice(func(s *scope) **bool { return &s.agentCheck }),
			values: "yes or no", unset: "yes with agent_port, otherwise no", example: "yes\n\tagent_port=9777",
			about: "Whether the daemon reads what each real server says about itself. It connects to agent_port and reads one line of HAProxy's agent-check protocol. The line has words: a percentage of the configured weight as 75%, maxconn:N, up, down, fail or stopped, ready, drain, maint, and a reason after #. A state that the line does not mention stays. A port that is closed, silent or wrong changes nothing. A real server serves if its checks are good and its agent does not say otherwise. The name is HAProxy's. ldirectord does not have this directive."},
		{name: "agent_port", short: "Port where a real server reports its own state", where: inBoth, class: plain, set: setAgentPort,
			values: "1 to 65535", unset: "no agent", example: "9777",
			about: "The TCP port of the agent, see agent_check. The name is HAProxy's. ldirectord does not have this directive."},
		{name: "agent_addr", short: "Address where real servers report their own state", where: inBoth, class: plain, set: setAgentAddr,
			values: "address", unset: "the address of the real server", example: "192.0.2.99\n\tagent_port=9777",
			about: "The address of the agent, see agent_check. One agent then speaks for all real servers of the service. The name is HAProxy's. ldirectord does not have this directive."},
		{name: "agent_inter", short: "Time between two reads of the own state of a real server", where: inBoth, class: plain, set: setTime(func(s *scope) *time.Duration { return &s.agent.Interval }),
			values: "seconds, or milliseconds as 500ms", unset: "2", example: "5\n\tagent_port=9777",
			about: "The time between two connections to the agent, see agent_check. It is also the time limit of each, up to 5 seconds. The name is HAProxy's. ldirectord does not have this directive."},
		{name: "agent_send", short: "Text that the agent of a real server gets", where: inBoth, class: freeText, set: setText(func(s *scope) *string { return &s.agent.Send }),
			values: `"TEXT"`, unset: "the agent gets nothing", example: "web\\n\n\tagent_port=9777",
			about: `The text that the daemon sends to the agent after it has connected, see agent_check. \n in it is a line break. The name is HAProxy's. ldirectord does not have this directive.`},
	}
}

func setAgentPort(s *scope, value string) error {
	port, err := parsePort(value)
	if err != nil || port == 0 {
		return fault.Errorf("", "%s is not a port from 1 to 65535", s.named(value))
	}
	s.agent.Port = port
	return nil
}

func setAgentAddr(s *scope, value string) error {
	addr, err := netip.ParseAddr(strings.Trim(value, "[]"))
	if err != nil {
		return fault.Errorf("write the address, without a name and a port", "%s is not an address", s.named(value))
	}
	s.agent.Addr = addr
	return nil
}

// agentOver returns the agent of the block, completed with the settings of the file. The agent is
// zero without a port, and with agent_check=no.
func (own *settings) agentOver(file *settings) config.Agent {
	check := cmp.Or(own.agentCheck, file.agentCheck)
	a := config.Agent{
		Addr: own.agent.Addr, Port: cmp.Or(own.agent.Port, file.agent.Port), Send: cmp.Or(own.agent.Send, file.agent.Send),
		Interval: cmp.Or(own.agent.Interval, file.agent.Interval, defaultAgentInterval),
	}
	if !a.Addr.IsValid() {
		a.Addr = file.agent.Addr
	}
	if a.Port == 0 || check != nil && !*check {
		return config.Agent{}
	}
	return a
}

// agent returns the agent of a block. It warns about directives that have no effect without
// agent_port.
func (p *parser) agent(b *block) config.Agent {
	a := b.agentOver(&p.global)
	if p.global.agent.Port != 0 || b.agent.Port != 0 {
		return a
	}
	for _, name := range []string{"agent_check", "agent_addr", "agent_inter", "agent_send"} {
		line := cmp.Or(b.given[name], p.global.given[name])
		check := cmp.Or(b.agentCheck, p.global.agentCheck)
		if line == 0 || name == "agent_check" && !*check {
			continue
		}
		without := config.Problem{File: p.config.File, Line: line, Severity: config.Warning, What: name + " has no effect without agent_port", Fix: "add agent_port=PORT"}
		if !slices.Contains(p.problems, without) {
			p.problems = append(p.problems, without)
		}
	}
	return a
}

// agent writes the directives of ofAgent.
func (w *writer) agent(a config.Agent) {
	if a.Port == 0 {
		return
	}
	w.line("agent_port", nonzero(a.Port))
	if a.Addr.IsValid() {
		w.line("agent_addr", a.Addr.String())
	}
	w.time("agent_inter", a.Interval, defaultAgentInterval)
	w.quoted("agent_send", a.Send)
}
