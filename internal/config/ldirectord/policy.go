package ldirectord

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/policy"
)

// byDefault is the written value of policy.Fallback. In a block, the value ends the effect of
// another value for all services.
const byDefault = "fallback"

// ofPolicy returns the directives for policy.Settings. ldirectord has none of them.
func ofPolicy() []directive {
	settings := func(s *scope) *policy.Settings { return &s.policy }
	return []directive{
		{name: "on_marked_down", short: "What happens to the connections of a failed real server", where: inBoth, class: plain, set: setMarkedDown,
			values: "keep, expire or reset", unset: "quiescent decides", example: "expire",
			about: "What happens to the open connections of a real server that fails its checks. With keep they continue, and the real server stays with weight 0. With expire, the daemon removes the real server. The kernel then ends each connection when the next packet of its client arrives: the client gets a reset. With reset, the daemon also sends each client a segment, and TCP of the client must reply. So a client that only waits gets its reset at once, unless a packet filter drops this segment. A line on_marked_down in a block takes precedence over a line quiescent for all services. In the same place, keep contradicts quiescent=no, and expire and reset contradict quiescent=yes. The values expire and reset need the sysctl net.ipv4.vs.expire_nodest_conn=1. The resource agent ocf:lvs:ipvs sets it if it reads the configuration from a file. Otherwise, give ocf:lvs:ipvs the parameter expire_nodest_conn=yes. The daemon refuses expire and reset together with sh-fallback or mh-fallback. reset is only for TCP and firewall marks. ldirectord does not have this directive."},
		{name: "init_state", short: "State of a real server before its first verdict", where: inBoth, class: plain, set: setInitial,
			values: "up or down", unset: "the real server stays as the daemon found it", example: "up",
			about: "The state of a real server until its checks have given a verdict. With up it serves, with down it gets no new connections. The name is HAProxy's. ldirectord does not have this directive."},
		{name: "slowstart", short: "Time until a real server has its whole weight", where: inBoth, class: plain, set: setTime(func(s *scope) *time.Duration { return &settings(s).SlowStart }),
			values: "seconds, or milliseconds as 500ms", unset: "the whole weight at once", example: "60",
			about: "How long the weight of a real server rises after it comes back. The weight rises in 20 steps, so it needs configured weights far above 1. No slow start begins while the daemon starts. It cannot be used with the scheduler mh. The name is HAProxy's. ldirectord does not have this directive."},
		{name: "slowstart_aggression", short: "Curve of slowstart", where: inBoth, class: plain, set: setAggression,
			values: "0.1 to 10", unset: "1", example: "2\n\tslowstart=60",
			about: "The curve of slowstart: the part of the weight is the part of the time to the power of 1/slowstart_aggression. With 1 the weight rises evenly; with more, it is larger at the start. The word is Envoy's. ldirectord does not have this directive."},
		{name: "slowstart_minimum", short: "Smallest part of the weight in slowstart", where: inBoth, class: plain, set: setPercent(func(s *scope) *int { return &settings(s).Floor }),
			values: "percentage from 1 to 100", unset: "1", example: "10\n\tslowstart=60",
			about: "The smallest part of its weight that a real server has in its slow start, in percent. Envoy calls it min_weight_percent. ldirectord does not have this directive."},
		{name: "quorum", short: "Smallest sum of weights of good real servers", where: inBoth, class: plain, set: setWeightSum(func(s *scope) *int { return &settings(s).Quorum }),
			values: "number", unset: "one good real server is enough", example: "1",
			about: "The smallest sum of configured weights of good real servers. Below it, shortage decides. The name and the meaning are keepalived's. ldirectord does not have this directive."},
		{name: "hysteresis", short: "Distance of the two limits of quorum", where: inBoth, class: plain, set: setWeightSum(func(s *scope) *int { return &settings(s).Hysteresis }),
			values: "number below quorum", unset: "0", example: "1\n\tquorum=2\n\treal=192.0.2.22:80 masq 2",
			about: "The service loses its quorum when the sum of weights is below quorum minus hysteresis. It has its quorum again when the sum is quorum plus hysteresis or more. The name and the meaning are keepalived's. ldirectord does not have this directive."},
		{name: "minimum_healthy", short: "Smallest number or part of good real servers", where: inBoth, class: freeText, set: setMinimum,
			values: "number, percentage as 50%, or both with a comma between them", unset: "one good real server is enough", example: "1,50%",
			about: "The smallest number of good real servers, or their smallest part of the real servers that no operator has taken out. Below it, shortage decides. ldirectord does not have this directive."},
		{name: "shortage", short: "What serves while too few real servers are good", where: inBoth, class: plain, set: setShortage,
			values: "fallback, fail-open or hold", unset: byDefault, example: "fail-open\n\tminimum_healthy=50%",
			about: "What serves without the quorum or below minimum_healthy. With fallback, the fallback serves instead of the good real servers; without a fallback, they continue to serve. With fail-open, all real servers serve, good or not. With hold, the real servers continue to serve that served before the shortage. No value changes a drained real server. ldirectord does not have this directive."},
		{name: "max_ejection_percent", short: "Largest part of real servers that checks take out", where: inBoth, class: plain, set: setPercent(func(s *scope) *int { return &settings(s).EjectPercent }),
			values: "percentage from 1 to 100", unset: "no limit", example: "40",
			about: "The largest part of the real servers that failed checks take out within ejection_window. One real server can always go. The others continue to serve, until an earlier one does not count any more. The name is Envoy's. ldirectord does not have this directive."},
		{name: "ejection_window", short: "How long a failed real server counts for max_ejection_percent", where: inBoth, class: plain, set: setTime(func(s *scope) *time.Duration { return &settings(s).EjectWindow }),
			values: "seconds, or milliseconds as 500ms", unset: "until the real server is good again", example: "300\n\tmax_ejection_percent=40",
			about: "How long a real server that checks have taken out counts for max_ejection_percent. ldirectord does not have this directive."},
		{name: "ejection_jitter", short: "Spread of ejection_window", where: inBoth, class: plain, set: setPercent(func(s *scope) *int { return &settings(s).EjectJitter }),
			values: "percentage from 1 to 100", unset: "0", example: "20\n\tejection_window=300\n\tmax_ejection_percent=40",
			about: "The largest time that is added to ejection_window, in percent. Each real server has another part of it, so that the next ones do not go at the same moment. ldirectord does not have this directive."},
		{name: "own_fault", where: inFile, class: plain, set: setTime(func(s *scope) *time.Duration { return &s.config.OwnFault }),
			values: "seconds, or milliseconds as 500ms", unset: "failed real servers never serve for this reason", example: "30",
			about: "How long failed real servers continue to serve while the director suspects itself. It suspects itself if it has no path to most real servers: no route, a link that is down, or a gateway that does not reply. It also does so if most real servers of several services failed at the same moment. The moment is as long as the checks need for a verdict. Its node attribute falls, so that another director can take over. ldirectord does not have this directive."},
		{name: "tier_minimum", short: "Number of good real servers below which the next tier joins", where: inBoth, class: plain, set: setCount("real servers", func(s *scope) *int { return &settings(s).TierMin }),
			values: "number", unset: "1", example: "1\n\treal=192.0.2.22:80 masq 1 tier:1",
			about: "The number of good real servers below which the next tier joins. The option tier:N of real gives the tier. F5 calls it priority group activation; a tier is what HAProxy calls backup. ldirectord does not have this directive."},
	}
}

func setMarkedDown(s *scope, value string) error {
	names := []string{string(config.Keep), string(config.Expire), string(config.Reset)}
	if !slices.Contains(names, value) {
		return fault.Errorf("", "unknown on_marked_down %s%s", fault.Quote(value), orUse(value, "keep, expire or reset", names...))
	}
	s.markedDown = config.MarkedDown(value)
	return nil
}

// markedDownOver returns on_marked_down and quiescent of the block, completed with the file. If
// both settings of one place contradict each other, it returns both as they are.
func (own *settings) markedDownOver(file *settings) (down config.MarkedDown, quiescent bool) {
	down = cmp.Or(own.markedDown, file.markedDown)
	given := cmp.Or(own.quiescent, file.quiescent)
	if own.markedDown != "" {
		given = own.quiescent
	}
	if given == nil {
		return down, down == config.Keep
	}
	return down, *given
}

func setInitial(s *scope, value string) error {
	s.policy.Initial = policy.Initial(value)
	if value != string(policy.Up) && value != string(policy.Down) {
		return fault.Errorf("write up or down, or delete the line", "%s is neither up nor down", s.named(value))
	}
	return nil
}

func setAggression(s *scope, value string) error {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || n < 0.1 || n > 10 {
		return fault.Errorf("", "%s is not a number from 0.1 to 10", s.named(value))
	}
	s.policy.Aggression = int(n*100 + 0.5)
	return nil
}

func setPercent(field func(*scope) *int) setter {
	return func(s *scope, value string) error {
		n, err := strconv.ParseUint(strings.TrimSuffix(value, "%"), 10, 31)
		if err != nil || n < 1 || n > 100 {
			return fault.Errorf("", "%s is not a percentage from 1 to 100", s.named(value))
		}
		*field(s) = int(n)
		return nil
	}
}

func setWeightSum(field func(*scope) *int) setter {
	return func(s *scope, value string) (err error) {
		const most = 1 << 30
		n, err := s.number(value, "weights", most)
		if err == nil {
			*field(s) = n
		}
		return err
	}
}

func setMinimum(s *scope, value string) error {
	for _, word := range listed(value) {
		field, what := &s.policy.MinCount, word
		if percent, found := strings.CutSuffix(word, "%"); found {
			field, what = &s.policy.MinPercent, percent
		}
		n, err := strconv.ParseUint(what, 10, 16)
		if err != nil || n < 1 || field == &s.policy.MinPercent && n > 100 {
			return fault.Errorf("write a number, a percentage, or both as 2,50%", "%s is neither a number nor a percentage", s.named(value))
		}
		*field = int(n)
	}
	return nil
}

func setShortage(s *scope, value string) error {
	names := []string{byDefault, string(policy.FailOpen), string(policy.Hold)}
	if !slices.Contains(names, value) {
		return fault.Errorf("", "unknown shortage %s%s", fault.Quote(value), orUse(value, "fallback, fail-open or hold", names...))
	}
	s.policy.Shortage = policy.Shortage(value)
	return nil
}

// policyOver returns the policy of the block, completed with the policy of the file.
func (own *settings) policyOver(file *settings) policy.Settings {
	p, f := own.policy, file.policy
	all := policy.Settings{
		Initial: cmp.Or(p.Initial, f.Initial), SlowStart: cmp.Or(p.SlowStart, f.SlowStart), Aggression: cmp.Or(p.Aggression, f.Aggression),
		Floor: cmp.Or(p.Floor, f.Floor), Quorum: cmp.Or(p.Quorum, f.Quorum), Hysteresis: cmp.Or(p.Hysteresis, f.Hysteresis),
		MinCount: p.MinCount, MinPercent: p.MinPercent, Shortage: cmp.Or(p.Shortage, f.Shortage),
		EjectPercent: cmp.Or(p.EjectPercent, f.EjectPercent), EjectWindow: cmp.Or(p.EjectWindow, f.EjectWindow),
		EjectJitter: cmp.Or(p.EjectJitter, f.EjectJitter), TierMin: cmp.Or(p.TierMin, f.TierMin),
	}
	if p.MinCount == 0 && p.MinPercent == 0 {
		all.MinCount, all.MinPercent = f.MinCount, f.MinPercent
	}
	if all.Shortage == byDefault {
		all.Shortage = policy.Fallback
	}
	return all
}

// policy writes the directives of ofPolicy that differ from their defaults.
func (w *writer) policy(s config.Service) {
	p := s.Policy
	w.line("on_marked_down", string(s.MarkedDown))
	if s.Observe {
		w.line("observe", observed)
	}
	w.line("init_state", string(p.Initial))
	w.time("slowstart", p.SlowStart, 0)
	if p.Aggression != 0 {
		w.line("slowstart_aggression", strconv.FormatFloat(float64(p.Aggression)/100, 'f', -1, 64))
	}
	w.line("slowstart_minimum", nonzero(p.Floor))
	w.line("quorum", nonzero(p.Quorum))
	w.line("hysteresis", nonzero(p.Hysteresis))
	minimum := nonzero(p.MinCount)
	if p.MinPercent != 0 {
		minimum = strings.TrimPrefix(fmt.Sprintf("%s,%d%%", minimum, p.MinPercent), ",")
	}
	w.line("minimum_healthy", minimum)
	w.line("shortage", string(p.Shortage))
	w.line("max_ejection_percent", nonzero(p.EjectPercent))
	w.time("ejection_window", p.EjectWindow, 0)
	w.line("ejection_jitter", nonzero(p.EjectJitter))
	w.line("tier_minimum", nonzero(p.TierMin))
}
