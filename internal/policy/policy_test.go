package policy

import (
	"slices"
	"testing"
	"time"
)

func TestAgentCheckLines(t *testing.T) {
	half := Says{Weight: 50, HasWeight: true}
	for _, row := range []struct {
		name string
		// before is what the server said before the line.
		before Says
		line   string
		want   Says
	}{
		{"percentage", Says{}, "75%\n", Says{Weight: 75, HasWeight: true}},
		{"a line without its end", half, "75%", half},
		{"a carriage return ends the line", Says{}, "75%\rdown\n", Says{Weight: 75, HasWeight: true}},
		{"zero is a drain", Says{}, "0%\r\n", Says{HasWeight: true}},
		{"maxconn", Says{}, "maxconn:30\n", Says{MaxConn: 30}},
		{"ready ends drain", Says{Mode: Drain}, "ready\n", Says{}},
		{"ready ends maint", Says{Mode: Maint}, "ready\n", Says{}},
		{"drain", Says{}, "drain\n", Says{Mode: Drain}},
		{"maint", Says{}, "maint\n", Says{Mode: Maint}},
		{"down", Says{}, "down\n", Says{Down: true}},
		{"failed with its reason", Says{}, "failed #disk is full\n", Says{Down: true, Comment: "disk is full"}},
		{"fail", Says{}, "fail\n", Says{Down: true}},
		{"stopped", Says{}, "stopped\n", Says{Down: true}},
		{"up ends down", Says{Down: true, Comment: "disk is full"}, "up\n", Says{}},
		{"several words", Says{}, "75%,maxconn:30,maint,down\n", Says{Weight: 75, HasWeight: true, MaxConn: 30, Mode: Maint, Down: true}},
		{"the reverse of several words", Says{Weight: 75, HasWeight: true, MaxConn: 30, Mode: Maint, Down: true}, "ready up 100%\n", Says{Weight: 100, HasWeight: true, MaxConn: 30}},
		{"blanks, tabs and commas", Says{}, "up\t, 50%  ready\n", half},
		{"large letters", Says{}, "UP 50%\n", half},
		{"only the first line", Says{}, "50%\ndown\n", half},
		{"the first line ends at a carriage return", Says{}, "50%\rdown\n", half},
		{"an empty first line", half, "\r\ndown\n", half},
		{"the last of several words about one state", Says{}, "10% drain down maint 50% up ready\n", half},
		{"up leaves drain", Says{Mode: Drain, Down: true}, "up\n", Says{Mode: Drain}},
		{"ready leaves down", Says{Mode: Drain, Down: true, Comment: "disk is full"}, "ready\n", Says{Down: true}},
		{"drain with its reason", Says{}, "drain # new release\n", Says{Mode: Drain, Comment: "new release"}},
		{"a reason without a state", Says{}, "50% # busy\n", half},
		{"another state without a reason", Says{Mode: Drain, Comment: "new release"}, "maint\n", Says{Mode: Maint}},
		{"a limit that is not a number", Says{MaxConn: 30}, "maxconn:many maxconn: maxconn:-1\n", Says{MaxConn: 30}},
		{"no limit any more", Says{MaxConn: 30}, "maxconn:0\n", Says{}},
		{"a line that says nothing", half, "\n", half},
		{"an unknown word", half, "hello world\n", half},
		{"not a number", half, "many%\n", half},
		{"a negative number", half, "-5%\n", half},
		{"more than the whole weight", Says{}, "400%\n", Says{Weight: 100, HasWeight: true}},
		{"a number without its sign", half, "75\n", half},
		{"control characters in the reason", Says{}, "down #a\x1b[2Jb\n", Says{Down: true, Comment: "a [2Jb"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.before.Read(row.line); got != row.want {
				t.Errorf("%q: got %+v, want %+v", row.line, got, row.want)
			}
		})
	}
}

// pool returns a service of servers with these weights, and an input with these verdicts.
func pool(s Settings, weights []int, verdicts ...Verdict) (*Service, Input) {
	service, in := &Service{Settings: s, Stay: true, Fallbacks: true}, Input{Now: begin}
	for i, weight := range weights {
		service.Servers = append(service.Servers, Server{Addr: addr(i), Weight: weight})
		in.Servers = append(in.Servers, Seen{Verdict: verdicts[i], Since: begin})
	}
	return service, in
}

func weights(d Decision) []int {
	all := make([]int, len(d.Servers))
	for i, p := range d.Servers {
		all[i] = p.Weight
	}
	return all
}

// TestQuorum has keepalived's rule: the quorum is lost when the weight of the live servers is below
// quorum - hysteresis, and gained at quorum + hysteresis.
func TestQuorum(t *testing.T) {
	for _, row := range []struct {
		name               string
		quorum, hysteresis int
		// live is the number of live servers of weight 1, of 10, at each moment.
		live []int
		down []bool
	}{
		{"quorum 1 is the default of keepalived", 1, 0, []int{10, 1, 0, 1}, []bool{false, false, true, false}},
		{"quorum 3 without hysteresis", 3, 0, []int{10, 3, 2, 3, 2}, []bool{false, false, true, false, true}},
		{"quorum 5 with hysteresis 2", 5, 2, []int{10, 5, 3, 2, 5, 6, 7, 3, 2}, []bool{false, false, false, true, true, true, false, false, true}},
		{"hysteresis one below the quorum", 3, 2, []int{10, 1, 0, 4, 5}, []bool{false, false, true, true, false}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var memory Memory
			for at, live := range row.live {
				verdicts := slices.Concat(slices.Repeat([]Verdict{Good}, live), slices.Repeat([]Verdict{Bad}, 10-live))
				s, in := pool(Settings{Quorum: row.quorum, Hysteresis: row.hysteresis}, slices.Repeat([]int{1}, 10), verdicts...)
				var d Decision
				if d, memory = s.Decide(in, memory); d.Short != row.down[at] || d.Fallback != row.down[at] {
					t.Errorf("moment %d, %d live: short %t, fallback %t, want %t", at, live, d.Short, d.Fallback, row.down[at])
				}
			}
		})
	}
}

// TestShortage has one row for each choice: 3 of 5 servers fail at the same moment.
func TestShortage(t *testing.T) {
	for _, row := range []struct {
		choice   Shortage
		want     []int
		fallback bool
	}{
		{Fallback, []int{0, 0, 0, 0, 0}, true},
		{FailOpen, []int{1, 1, 1, 1, 1}, false},
		{Hold, []int{1, 1, 1, 1, 0}, false}, // The last server was drained before.
	} {
		t.Run(string(row.choice), func(t *testing.T) {
			s, in := pool(Settings{MinPercent: 50, Shortage: row.choice}, []int{1, 1, 1, 1, 1}, Good, Good, Good, Good, Good)
			if row.choice == Hold {
				in.Servers[4].Orders = []Order{{Kind: Drain, Since: begin}}
			}
			_, memory := s.Decide(in, Memory{})
			for i := range 3 {
				in.Servers[i].Verdict = Bad
			}
			d, _ := s.Decide(in, memory)
			if got := weights(d); !slices.Equal(got, row.want) || d.Fallback != row.fallback {
				t.Errorf("got %v, fallback %t", got, d.Fallback)
			}
			if !slices.Equal(d.Alerts, []Alert{QuorumDown}) {
				t.Errorf("alerts %v", d.Alerts)
			}
		})
	}
}

func TestTiersJoinWhenTooFewServe(t *testing.T) {
	s, in := pool(Settings{TierMin: 2}, []int{1, 1, 1, 1}, Good, Good, Good, Good)
	s.Servers[2].Tier, s.Servers[3].Tier = 1, 2
	for _, row := range []struct {
		first, third Verdict
		want         []int
	}{
		{Good, Good, []int{1, 1, 0, 0}},
		{Bad, Good, []int{0, 1, 1, 0}},
		{Bad, Bad, []int{0, 1, 0, 1}},
	} {
		in.Servers[0].Verdict, in.Servers[2].Verdict = row.first, row.third
		if d, _ := s.Decide(in, Memory{}); !slices.Equal(weights(d), row.want) {
			t.Errorf("first %s, third %s: got %v, want %v", row.first, row.third, weights(d), row.want)
		}
	}
}

func TestSlowStartRisesToTheWholeWeight(t *testing.T) {
	s, in := pool(Settings{SlowStart: 20 * time.Second, Floor: 10}, []int{100}, Bad)
	_, memory := s.Decide(in, Memory{})
	in.Servers[0].Verdict = Good
	var got []int
	var d Decision
	for d.Next = begin; !d.Next.IsZero() && len(got) < 30; {
		in.Now = d.Next
		d, memory = s.Decide(in, memory)
		got = append(got, d.Servers[0].Weight)
	}
	want := []int{10, 10, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100}
	if !slices.Equal(got, want) || in.Now.Sub(begin) != 20*time.Second {
		t.Errorf("got %v after %s", got, in.Now.Sub(begin))
	}
}

func TestChecksTakeOutAtMostTheCapWithinTheWindow(t *testing.T) {
	s, in := pool(Settings{EjectPercent: 40, EjectWindow: time.Minute}, []int{1, 1, 1, 1, 1}, Good, Good, Good, Good, Good)
	_, memory := s.Decide(in, Memory{})
	for i := range 4 {
		in.Servers[i].Verdict, in.Servers[i].Since = Bad, begin.Add(time.Duration(4-i)*time.Second)
	}
	d, memory := s.Decide(in, memory)
	if !slices.Equal(weights(d), []int{1, 1, 0, 0, 1}) || d.Next != begin.Add(time.Minute) {
		t.Errorf("first: %v, next %s", weights(d), d.Next)
	}
	in.Now = d.Next
	if d, _ = s.Decide(in, memory); !slices.Equal(weights(d), []int{0, 0, 0, 0, 1}) {
		t.Errorf("after the window: %v", weights(d))
	}
}

func TestOrdersEnd(t *testing.T) {
	s, in := pool(Settings{}, []int{3}, Good)
	in.Servers[0].Orders = []Order{{Kind: Drain, By: "root", Since: begin, Until: begin.Add(time.Minute)}}
	d, _ := s.Decide(in, Memory{})
	if got, want := d.Servers[0].Reason.String(), "root has set drain until "+begin.Add(time.Minute).Local().Format(time.DateTime); got != want || d.Servers[0].Weight != 0 {
		t.Errorf("got %q, weight %d, want %q", got, d.Servers[0].Weight, want)
	}
	in.Now = d.Next
	if d, _ = s.Decide(in, Memory{}); d.Servers[0].Weight != 3 || in.Now != begin.Add(time.Minute) {
		t.Errorf("after %s: weight %d", in.Now, d.Servers[0].Weight)
	}
}

func TestOwnFault(t *testing.T) {
	for _, row := range []struct {
		name  string
		pools []Pool
		want  bool
	}{
		{"no service", nil, false},
		{"one service", []Pool{{4, 4}}, false},
		{"both services", []Pool{{4, 3}, {2, 2}}, true},
		{"half of the servers", []Pool{{4, 2}, {2, 1}}, false},
		{"half of the services", []Pool{{4, 4}, {2, 2}, {3, 0}, {3, 0}}, false},
		{"most services", []Pool{{4, 4}, {2, 2}, {3, 0}}, true},
		{"services without good servers do not count", []Pool{{4, 4}, {2, 2}, {}, {}, {}}, true},
	} {
		if got := OwnFault(row.pools); got != row.want {
			t.Errorf("%s: got %t", row.name, got)
		}
	}
}
