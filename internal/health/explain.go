package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
	"lvs-agents/internal/state/record"
)

// Explain returns why the real servers that a filter selects have their weights.
func (d *Daemon) Explain(ctx context.Context, f control.Filter) (control.Explanation, error) {
	e := control.Explanation{ID: d.options.ID, PID: d.options.PID, Version: d.options.Version, Config: d.options.Config, Now: time.Now()}
	var w want
	var services []lvs.ServiceID
	err := d.do(ctx, func(context.Context) error {
		d.refresh()
		w = want{ordered: d.ordered, table: slices.Clone(d.wanted)}
		for i, s := range d.setup.Services {
			if f.HasService(s.ID.String()) {
				services = append(services, s.ID)
				e.Services = append(e.Services, d.explain(i, f))
			}
		}
		return nil
	})
	if err != nil || len(services) == 0 {
		return e, err
	}
	facts, err := d.reconciler.facts(ctx, w)
	for i, id := range services {
		facts.complete(&e.Services[i], id, err)
	}
	return e, nil
}

// explain returns what the daemon itself knows about a service.
func (d *Daemon) explain(i int, f control.Filter) control.ExplainedService {
	service, st := d.setup.Services[i], d.standing[i]
	told := d.service(i)
	s := control.ExplainedService{ID: told.ID, Scheduler: told.Scheduler, Persistence: told.Persistence, Good: st.good, Servers: len(service.Reals)}
	last := 1
	if f.Server != "" {
		last = kept
	}
	for j, real := range service.Reals {
		if !f.HasServer(real.Addr.String()) {
			continue
		}
		because := d.because(i, j)
		server := control.ExplainedServer{Real: told.Reals[j], Tier: real.Tier, Because: because.String(), Rule: because.Cause.Rule()}
		for _, p := range real.all() {
			server.Checks = append(server.Checks, d.explainCheck(p, last))
		}
		s.Reals = append(s.Reals, server)
	}
	return s
}

// because returns the reason for the weight of a real server. Without rules, only an operator and
// the verdict decide.
func (d *Daemon) because(i, j int) policy.Reason {
	service, st := d.setup.Services[i], d.standing[i]
	if j < len(st.places) {
		return st.places[j].Reason
	}
	if d.out[Member{service.ID, service.Reals[j].Addr}] {
		return policy.Reason{Cause: policy.Ordered, Order: policy.Order{Kind: policy.Drain, By: "maintenancedir"}}
	}
	cause := map[Verdict]policy.Cause{Good: policy.Passed, Bad: policy.Failed, Unknown: policy.Unchecked}[st.reals[j].verdict]
	return policy.Reason{Cause: cause, Base: service.Reals[j].Weight, Percent: 100}
}

// explainCheck returns a probe and its last checks.
func (d *Daemon) explainCheck(p Probe, last int) control.ExplainedCheck {
	t := d.trackers[p]
	c := control.ExplainedCheck{
		Kind: p.name(), Query: p.query(), Expected: p.expected(), Timeout: p.Timeout.Seconds(),
		Interval: p.Interval.Seconds(), FastInterval: p.FastInterval.Seconds(), DownInterval: p.DownInterval.Seconds(),
		Fall: t.fall, Rise: max(1, t.rise), Verdict: t.verdict.String(), Failures: t.failures, Successes: t.good,
	}
	if !p.fixed() {
		c.Next = d.wheel.upcoming(p)
	}
	for _, past := range t.history.newest(last) {
		c.Last = append(c.Last, control.CheckResult{
			Time: past.at, Hint: past.hint, Reason: past.reason, Reply: past.trace.Reply, Connect: past.trace.Connect.Seconds(), TLS: past.trace.TLS.Seconds(),
			FirstByte: past.trace.FirstByte.Seconds(), Match: past.trace.Match.Seconds(), Total: past.trace.Total.Seconds(),
		})
	}
	return c
}

// query returns what a check sends. It leaves out the arguments of programs and the requests of udp
// and simpletcp, because they can have passwords.
func (p Probe) query() string {
	switch p.Type {
	case config.On, config.Off:
		return "no check"
	case config.Connect:
		return "connect to " + p.Addr.String()
	case config.Ping:
		return "ping " + p.Addr.Addr().String()
	case config.UDP:
		return "datagram to " + p.Addr.String()
	case config.External, config.ExternalPerl:
		program, _, _ := strings.Cut(p.Command, " ")
		return program
	case config.Negotiate, config.Combined:
	}
	switch p.name() {
	case "http", "https":
		url := fmt.Sprintf("%s://%s/%s", p.Application, p.Addr, strings.TrimPrefix(p.Request, "/"))
		return cmp.Or(p.Method, "GET") + " " + check.Shown(url)
	case "simpletcp":
		return "request to " + p.Addr.String()
	case string(agentCheck):
		return "own state from " + p.Addr.String()
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", p.name(), p.Addr, check.Shown(p.Request)))
}

// expected returns a good reply in words.
func (p Probe) expected() string {
	switch p.Type {
	case config.On:
		return "always good"
	case config.Off:
		return "never good"
	case config.Connect:
		return "an open connection"
	case config.Ping:
		return "a reply"
	case config.External, config.ExternalPerl:
		return "exit status 0"
	case config.UDP:
		if p.Receive == "" {
			return "no error"
		}
	case config.Negotiate, config.Combined:
	}
	if p.isAgent() {
		return "one line of HAProxy's agent-check protocol"
	}
	var parts []string
	if strings.HasPrefix(p.name(), "http") {
		parts = append(parts, "status "+cmp.Or(p.Status.String(), "200-299"))
		if drains := p.DisableOn.String(); drains != "" {
			parts = append(parts, "or status "+drains+", which drains the server")
		}
	}
	if p.Receive != "" {
		parts = append(parts, fmt.Sprintf("a reply that matches %q", p.Receive))
	}
	return cmp.Or(strings.Join(parts, ", "), "a good reply")
}

// facts are what the records and the kernel have of the services of the daemon.
type facts struct {
	outcome
	records map[lvs.ServiceID]record.Record // records has the record of each service that has one.
	store   record.Store
	plan    []lvs.Op
}

// factsTimeout is how long Explain waits for the table of the kernel.
const factsTimeout = 2 * time.Second

// facts reads the records and the kernel in the goroutine of run.
func (r *reconciler) facts(ctx context.Context, w want) (found facts, err error) {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	done := make(chan facts, 1)
	failure := make(chan error, 1)
	task := func(context.Context) {
		f := facts{records: map[lvs.ServiceID]record.Record{}, store: r.store}
		for id := range r.scopes {
			held, err := r.store.Load(id)
			if err != nil {
				continue // the outcome has the reason
			}
			for _, service := range held.Services.IDs() {
				f.records[service] = held
			}
		}
		var err error
		f.plan, f.outcome, err = r.plan(ctx, w)
		done <- f
		failure <- err
	}
	select {
	case r.tasks <- task:
	case <-ctx.Done():
		return found, errors.New("the daemon is busy with the table of the kernel")
	}
	select {
	case found = <-done:
		return found, <-failure
	case <-ctx.Done():
		return found, ctx.Err()
	}
}

// complete adds the facts about a service to its explanation. err is why the facts are incomplete.
func (f facts) complete(s *control.ExplainedService, id lvs.ServiceID, err error) {
	if held, has := f.records[id]; has {
		s.Record, s.RecordPath = record.Owner(held.ID), f.store.Path(held.ID)
		if held.Claims()[id] {
			s.Holder = held.Holder
		}
	}
	if err != nil {
		s.Trouble = err.Error()
		return
	}
	s.Trouble = f.lost[id]
	have, _ := f.have.Lookup(id)
	weights := map[string]int{}
	for _, d := range have.Destinations {
		weights[d.Addr.String()] = d.Weight
	}
	for i := range s.Reals {
		weight := out
		if w, present := weights[s.Reals[i].Addr]; present {
			weight = w
		}
		s.Reals[i].Kernel = &weight
	}
	for _, op := range f.plan {
		if op.Service.ID == id {
			s.Plan = append(s.Plan, op.String())
		}
	}
}
