package crm

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// corosync makes corosync.conf.
type corosync struct {
	file     string
	cluster  config.Cluster
	problems []config.Problem
}

// Corosync returns corosync.conf for Corosync 3, with the directors and links of a configuration.
// name is the name of the cluster. The text is empty if a problem is an error.
func Corosync(c *config.Config, name string) (string, []config.Problem) {
	w := &corosync{file: c.File}
	if c.Cluster != nil {
		w.cluster = *c.Cluster
	}
	messages := config.Messages{}
	if w.cluster.Messages != nil {
		messages = *w.cluster.Messages
	}
	if !nodeName.MatchString(name) {
		w.report(config.Error, 0, fmt.Sprintf("%s is not a name of a cluster", fault.Quote(name)), "use letters, digits and - in --name")
	}
	w.nodes(messages.Addresses)
	text := w.totem(name, messages) + w.quorum() + w.nodelist() + w.logging(messages)
	if config.Err(w.problems) != nil {
		return "", w.problems
	}
	return text, w.problems
}

func (w *corosync) report(severity config.Severity, line int, what, fix string) {
	w.problems = append(w.problems, config.Problem{File: w.file, Line: line, Severity: severity, What: what, Fix: fix})
}

// nodes checks the names and links of the directors. addresses are addresses of directors. The
// configuration does not have the names of these directors.
func (w *corosync) nodes(addresses []netip.Addr) {
	if len(w.cluster.Nodes) < 2 {
		w.report(config.Error, 0, fmt.Sprintf("the configuration has %d directors, and a cluster has two or more", len(w.cluster.Nodes)), "give the files of all directors")
		return
	}
	var all []netip.Addr
	links := len(w.cluster.Nodes[0].Links)
	for _, n := range w.cluster.Nodes {
		_, err := netip.ParseAddr(n.Name)
		switch {
		case err == nil || !nodeName.MatchString(n.Name):
			w.report(config.Error, n.Line, fmt.Sprintf("%s is not the name of a director", fault.Quote(n.Name)), "give the name that `uname -n` prints: --host OLD=NAME")
		case len(n.Links) != links:
			w.report(config.Error, n.Line, fmt.Sprintf("%s has %d links, and %s has %d", n.Name, len(n.Links), w.cluster.Nodes[0].Name, links), "give the same number of addresses for all: --link NODE=ADDRESS,ADDRESS")
		case links == 0:
			w.report(config.Warning, n.Line, fmt.Sprintf("no address of %s for Corosync, so the name counts: each director must resolve it without DNS", n.Name), "add it to /etc/hosts, or give --link "+n.Name+"=ADDRESS")
		}
		all = append(all, n.Links...)
	}
	for i, addr := range all {
		if slices.Contains(all[:i], addr) {
			w.report(config.Error, 0, fmt.Sprintf("two links have the address %s", addr), "give the address of each director: --link NODE=ADDRESS")
		}
	}
	for _, addr := range addresses {
		if !slices.Contains(all, addr) {
			w.report(config.Dropped, 0, fmt.Sprintf("ucast: the file does not name the director that has %s", addr), "give --link NODE="+addr.String())
		}
	}
	for _, c := range w.cluster.NodeChecks {
		if c.Kind == config.CheckPing {
			w.report(config.Dropped, c.Line, "ping "+strings.Join(c.Hosts, " ")+": Corosync does not ping hosts", "the resources of lvsctl convert --to=crm do")
		}
	}
}

// A busy director can keep a token time of a second. More than an hour is a mistake.
const shortestToken, longestToken = time.Second, time.Hour

// totem returns the settings of messages. A director counts as lost after the token time and the
// consensus time, which is 1.2 times the token time (corosync.conf(5)).
func (w *corosync) totem(name string, m config.Messages) string {
	lines := []string{"version: 2", "cluster_name: " + name, "transport: knet"}
	if m.DeadTime > 0 {
		token := m.DeadTime / 22 * 10
		switch {
		case token > longestToken:
			w.report(config.Error, m.Line, fmt.Sprintf("deadtime %v: the cluster would not detect a lost director", m.DeadTime), "write less than two hours")
		case token < shortestToken:
			w.report(config.Warning, m.Line, fmt.Sprintf("deadtime %v: a busy director would count as lost; token is %v", m.DeadTime, shortestToken), "")
			token = shortestToken
		}
		lines = append(lines, fmt.Sprintf("token: %d", token.Milliseconds()))
	}
	if m.Signed {
		lines = append(lines, "crypto_cipher: aes256", "crypto_hash: sha256")
	}
	return section("totem", lines)
}

func (w *corosync) quorum() string {
	lines := []string{"provider: corosync_votequorum"}
	if len(w.cluster.Nodes) == 2 {
		lines = append(lines, "two_node: 1")
	}
	return section("quorum", lines)
}

func (w *corosync) nodelist() string {
	var b strings.Builder
	for i, n := range w.cluster.Nodes {
		fmt.Fprintf(&b, "    node {\n        name: %s\n        nodeid: %d\n", n.Name, i+1)
		for link, addr := range n.Links {
			fmt.Fprintf(&b, "        ring%d_addr: %s\n", link, addr)
		}
		if len(n.Links) == 0 {
			fmt.Fprintf(&b, "        ring0_addr: %s\n", n.Name)
		}
		b.WriteString("    }\n")
	}
	return "nodelist {\n" + b.String() + "}\n"
}

// logFile is what the name of a log file can be. corosync.conf has no quotes.
var logFile = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)

// logging returns the settings of logs.
func (w *corosync) logging(m config.Messages) string {
	lines := []string{"to_syslog: yes"}
	switch {
	case m.Facility == "none":
		lines[0] = "to_syslog: no"
	case m.Facility == "daemon" || strings.HasPrefix(m.Facility, "local"):
		lines = append(lines, "syslog_facility: "+m.Facility)
	case m.Facility != "":
		w.report(config.Dropped, m.Line, "logfacility "+m.Facility+": Corosync has daemon and local0 to local7", "")
	}
	switch {
	case m.LogFile == "":
	case !logFile.MatchString(m.LogFile):
		w.report(config.Dropped, m.Line, fmt.Sprintf("logfile %s: the name has special characters", fault.Quote(m.LogFile)), "use another name")
	default:
		lines = append(lines, "to_logfile: yes", "logfile: "+m.LogFile)
	}
	return section("logging", lines)
}

// section returns a section with its lines.
func section(name string, lines []string) string {
	return name + " {\n    " + strings.Join(lines, "\n    ") + "\n}\n"
}
