package configtest

import (
	"fmt"
	"reflect"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// Describe returns what a parser has returned as text, a line for each thing.
func Describe(c *config.Config, problems []config.Problem) string {
	var b strings.Builder
	if c == nil {
		b.WriteString("no configuration\n")
	} else {
		if c.Cluster != nil {
			cluster(&b, c.Cluster)
		}
		if c.Timeouts != (lvs.Timeouts{}) {
			fmt.Fprintf(&b, "timeouts %v\n", c.Timeouts)
		}
		for _, s := range c.Services {
			service(&b, s)
		}
	}
	for _, p := range problems {
		fmt.Fprintf(&b, "%s: %s\n", p.Severity, p)
	}
	return b.String()
}

func cluster(b *strings.Builder, c *config.Cluster) {
	for _, n := range c.Nodes {
		fmt.Fprintf(b, "node %s links %v\n", n.Name, n.Links)
	}
	for _, g := range c.Groups {
		fmt.Fprintf(b, "group %q preferences %v stays %v stopped %v\n", g.Name, g.Preferences, g.Stays, g.Stopped)
		for _, a := range g.Addresses {
			fmt.Fprintf(b, "  address %s\n", fields(a))
		}
	}
	for _, m := range c.Marks {
		fmt.Fprintf(b, "mark %d for %v %v %v family %q\n", m.Mark, m.IP, m.Protocols, m.Ports, m.Family)
	}
	for _, n := range c.NodeChecks {
		fmt.Fprintf(b, "node check %s\n", fields(n))
	}
	for _, n := range c.Notices {
		fmt.Fprintf(b, "notice %s\n", fields(n))
	}
	for _, f := range c.Files {
		fmt.Fprintf(b, "services %s of %s\n", f.Path, f.Resource)
	}
	if c.Sync != nil {
		fmt.Fprintf(b, "sync on %s id %d\n", c.Sync.Interface, c.Sync.ID)
	}
	if c.Messages != nil {
		fmt.Fprintf(b, "messages %s\n", fields(*c.Messages))
	}
	if c.Stays {
		b.WriteString("every group stays\n")
	}
}

func service(b *strings.Builder, s config.Service) {
	fmt.Fprintf(b, "quiescent %v fallbacks %+v\n%s", s.Quiescent, s.Fallbacks, lvs.Table{s.VirtualService()})
	for _, r := range s.Reals {
		for _, c := range r.Checks {
			fmt.Fprintf(b, "  %s: %s\n", r.Addr, check(c))
		}
	}
}

// check returns what the readers of this test set.
func check(c config.Check) string {
	statuses := 0
	for n := range 600 {
		if c.Status.Good(n) {
			statuses++
		}
	}
	text := fmt.Sprintf("%s %s port %d request %q receive %q statuses %d interval %v timeout %v rise %d fall %d",
		c.Type, c.Application, c.Port, c.Request, c.Receive, statuses, c.Interval, c.Timeout, c.Rise, c.Fall)
	if c.FastInterval != 0 {
		text += fmt.Sprintf(" fast %v", c.FastInterval)
	}
	return text
}

// fields returns the fields of a struct that are set, without its line number.
func fields(of any) string {
	var words []string
	value := reflect.ValueOf(of)
	for i := range value.NumField() {
		name, field := value.Type().Field(i).Name, value.Field(i)
		if name == "Line" || field.IsZero() {
			continue
		}
		field = reflect.Indirect(field)
		text := fmt.Sprint(field.Interface())
		if a, ok := field.Interface().(config.Announcements); ok {
			text = "{" + fields(a) + "}"
		}
		words = append(words, name+"="+text)
	}
	return strings.Join(words, " ")
}
