package ldirectord

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config"
	"lvs-agents/internal/policy"
)

func TestContradictionsOfAPolicyAreRefused(t *testing.T) {
	for _, row := range []struct{ lines, want string }{
		{"quorum=4", "quorum 4 is above 3, the sum of the weights of -t 192.0.2.10:80; write a smaller quorum, or larger weights"},
		{"hysteresis=1", "hysteresis of -t 192.0.2.10:80 has no effect without quorum; add quorum=NUMBER, or delete hysteresis"},
		{"quorum=1\nhysteresis=1", "hysteresis 1 of -t 192.0.2.10:80 is not below quorum 1, so the quorum could not be lost; write a hysteresis below the quorum"},
		{"quorum=3\nhysteresis=1", "quorum 3 and hysteresis 1 are together above 3, the sum of the weights of -t 192.0.2.10:80, so the quorum could not be gained again; write a smaller hysteresis"},
		{"minimum_healthy=3", "minimum_healthy 3 is above the number of real servers of -t 192.0.2.10:80, 2; write a smaller number"},
		{"minimum_healthy=0", `minimum_healthy "0" is neither a number nor a percentage; write a number, a percentage, or both as 2,50%`},
		{"minimum_healthy=101%", `minimum_healthy "101%" is neither a number nor a percentage; write a number, a percentage, or both as 2,50%`},
		{"slowstart=10001", "slowstart 2h46m41s of -t 192.0.2.10:80 is longer than 1000 times checkinterval 10s; write a shorter slowstart"},
		{"slowstart=5\nscheduler=mh", "slowstart of -t 192.0.2.10:80 with the scheduler mh would move open connections, because each weight has another hash table; delete slowstart, or choose another scheduler"},
		{"slowstart_minimum=5", "slowstart_aggression and slowstart_minimum of -t 192.0.2.10:80 have no effect without slowstart; add slowstart=SECONDS"},
		{"slowstart=5\nslowstart_aggression=11", `slowstart_aggression "11" is not a number from 0.1 to 10`},
		{"ejection_window=5", "ejection_window and ejection_jitter of -t 192.0.2.10:80 have no effect without max_ejection_percent; add max_ejection_percent=NUMBER"},
		{"max_ejection_percent=20\nejection_jitter=5", "ejection_jitter of -t 192.0.2.10:80 has no effect without ejection_window; add ejection_window=SECONDS"},
		{"max_ejection_percent=0", `max_ejection_percent "0" is not a percentage from 1 to 100`},
		{"real=192.0.2.23:80 masq 1 tier:2", "-t 192.0.2.10:80 has real servers in tier 2, and none in tier 1; number the tiers from 0 without a gap"},
		{"real=192.0.2.23:80 masq 1 tier:16", `real "192.0.2.23:80 masq 1 tier:16": tier "tier:16" is not a number from 0 to 15`},
		{"fastinter=11\nfall=2", "fastinter 11s of -t 192.0.2.10:80 is longer than checkinterval 10s; write a shorter fastinter"},
		{"fastinter=5\nfall=2\ndowninter=4", "fastinter 5s of -t 192.0.2.10:80 is longer than downinter 4s, so the first good check would delay the next one; write a shorter fastinter or a longer downinter"},
		{"fastinter=0", `fastinter "0" is not a number of seconds from 1 to 2678400`},
		{"downinter=2678401", `downinter "2678401" is not a number of seconds from 1 to 2678400`},
		{"downinter=5ms", `downinter "5ms" is not a number of milliseconds from 10 to 2678400000`},
		{"init_state=found", `init_state "found" is neither up nor down; write up or down, or delete the line`},
		{"shortage=open", `unknown shortage "open"; use fallback, fail-open or hold`},
		{"rise=0", `rise "0" is not a number of checks from 1 to 1000`},
		{"on_marked_down=drop", `unknown on_marked_down "drop"; use keep, expire or reset`},
		{"on_marked_down=keep\nquiescent=no", "on_marked_down=keep of -t 192.0.2.10:80 contradicts quiescent=no; delete the line quiescent"},
		{"quiescent=yes\non_marked_down=expire", "on_marked_down=expire of -t 192.0.2.10:80 contradicts quiescent=yes; delete the line quiescent"},
		{"scheduler=mh\nschedflags=mh-fallback,mh-port\non_marked_down=reset", "on_marked_down=reset of -t 192.0.2.10:80 has no effect with mh-fallback, because real servers that are down stay in the hash table; delete the line on_marked_down, or choose another scheduler"},
		{"observe=layer4", `unknown observe "layer4"; use connections or no`},
		{"protocol=udp\nobserve=connections", "observe=connections of -u 192.0.2.10:80 has no effect: the kernel counts no active connections of UDP; write observe=no"},
		{"quorum=0", `quorum "0" is not a number of weights from 1 to 1073741824`},
	} {
		text := "virtual=192.0.2.10:80\n\treal=192.0.2.21:80 masq 1\n\treal=192.0.2.22:80 masq 2\n\t" + strings.ReplaceAll(row.lines, "\n", "\n\t") + "\n"
		_, problems := Parse("test.cf", []byte(text))
		var got []string
		for _, p := range problems {
			if p.Severity == config.Error {
				got = append(got, strings.TrimPrefix(p.String(), "test.cf:"))
			}
		}
		if len(got) != 1 || !strings.HasSuffix(got[0], ": "+row.want) {
			t.Errorf("%s:\n got %q\nwant %q", row.lines, got, row.want)
		}
	}
}

func TestPolicyOfABlockComesBeforeThePolicyOfTheFile(t *testing.T) {
	text := `shortage=hold
minimum_healthy=50%
slowstart=30
slowstart_aggression=1.5
virtual=192.0.2.10:80
	real=192.0.2.21:80 masq 10
	real=192.0.2.22:80 masq 10 tier:1
	quorum=5
	hysteresis=2
	max_ejection_percent=40
	ejection_window=300
	ejection_jitter=10
	tier_minimum=1
	init_state=down
	slowstart_minimum=10
virtual=192.0.2.11:80
	real=192.0.2.21:80 masq 10
	shortage=fallback
	minimum_healthy=1
	slowstart=1500ms
`
	cfg, problems := Parse("test.cf", []byte(text))
	if err := config.Err(problems); err != nil {
		t.Fatal(err)
	}
	want := []policy.Settings{
		{
			Initial: policy.Down, SlowStart: 30 * time.Second, Aggression: 150, Floor: 10, Quorum: 5, Hysteresis: 2, MinPercent: 50, Shortage: policy.Hold,
			EjectPercent: 40, EjectWindow: 300 * time.Second, EjectJitter: 10, TierMin: 1,
		},
		{SlowStart: 1500 * time.Millisecond, Aggression: 150, MinCount: 1},
	}
	for i, s := range cfg.Services {
		if d := cmp.Diff(want[i], s.Policy); d != "" {
			t.Errorf("service %d: -want +got\n%s", i, d)
		}
	}
	again, _ := Write(cfg, true)
	second, problems := Parse("test.cf", []byte(again))
	if err := config.Err(problems); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if d := cmp.Diff(want[i], second.Services[i].Policy); d != "" {
			t.Errorf("written and read, service %d: -want +got\n%s", i, d)
		}
	}
	if second.Services[0].Reals[1].Tier != 1 {
		t.Errorf("the tier is lost:\n%s", again)
	}
}

func TestConnectionsOfFailedServersInTheFile(t *testing.T) {
	const first, second = "virtual=192.0.2.10:80\n\treal=192.0.2.21:80 masq\n", "virtual=192.0.2.11:80\n\treal=192.0.2.21:80 masq\n"
	for _, row := range []struct {
		text string
		want string // want has the values of both services, or the first error.
	}{
		{first + second, "[no no]"},
		{"quiescent=yes\n" + first + second, "[yes yes]"},
		{"on_marked_down=keep\n" + first + second + "\ton_marked_down=expire\n", "[keep yes expire no]"},
		{"quiescent=no\n" + first + "\ton_marked_down=keep\n" + second, "[keep yes no]"},
		{"quiescent=yes\n" + first + "\ton_marked_down=reset\n" + second, "[reset no yes]"},
		{"on_marked_down=expire\n" + first + "\ton_marked_down=keep\n\tquiescent=yes\n" + second, "[keep yes expire no]"},
		{"on_marked_down=expire\nquiescent=yes\n" + first, "on_marked_down=expire of -t 192.0.2.10:80 contradicts quiescent=yes"},
		{"on_marked_down=expire\n" + first + "\tquiescent=yes\n", "on_marked_down=expire of -t 192.0.2.10:80 contradicts quiescent=yes"},
		{first + "\ton_marked_down=reset\n\tprotocol=udp\n", "on_marked_down=reset of -u 192.0.2.10:80 has no effect: only TCP has a reset"},
		{"virtual=7\n\treal=192.0.2.21:80 gate\n\ton_marked_down=reset\n", "[reset no]"},
		{"expire_nodest_conn=no\n" + first + "\ton_marked_down=expire\n", "on_marked_down=expire of -t 192.0.2.10:80 contradicts expire_nodest_conn=no: its clients would get no answer and no error"},
		{"expire_nodest_conn=no\n" + first + "\ton_marked_down=keep\n", "[keep yes]"},
	} {
		cfg, problems := Parse("test.cf", []byte(row.text))
		if err := config.Err(problems); err != nil {
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("%s\ngot  %v\nwant %s", row.text, err, row.want)
			}
			continue
		}
		again, _ := Write(cfg, true)
		second, problems := Parse("test.cf", []byte(again))
		if err := config.Err(problems); err != nil {
			t.Errorf("%s\nwritten:\n%s\n%v", row.text, again, err)
			continue
		}
		for _, c := range []*config.Config{cfg, second} {
			var got []string
			for _, s := range c.Services {
				if s.MarkedDown != "" {
					got = append(got, string(s.MarkedDown))
				}
				got = append(got, map[bool]string{true: "yes", false: "no"}[s.Quiescent])
			}
			if fmt.Sprint(got) != row.want {
				t.Errorf("%s\ngot  %v\nwant %s", row.text, got, row.want)
			}
		}
	}
}

func TestIntervalsOfABlockComeBeforeTheIntervalsOfTheFile(t *testing.T) {
	text := `fastinter=1
downinter=60
virtual=192.0.2.10:80
	real=192.0.2.21:80 masq
	failurecount=3
	downinter=500ms
	fastinter=100ms
virtual=192.0.2.11:80
	real=192.0.2.21:80 masq
`
	cfg, problems := Parse("test.cf", []byte(text))
	if len(problems) != 1 || problems[0].String() != "test.cf:8: fastinter of -t 192.0.2.11:80 has no effect, because one check gives a verdict; set fall or rise above 1, or delete fastinter" {
		t.Error(problems)
	}
	for i, want := range [][2]time.Duration{{100 * time.Millisecond, 500 * time.Millisecond}, {time.Second, time.Minute}} {
		c := cfg.Services[i].Reals[0].Checks[0]
		if got := [2]time.Duration{c.FastInterval, c.DownInterval}; got != want {
			t.Errorf("service %d: %v, want %v", i, got, want)
		}
	}
}

func TestObserveOfABlockComesBeforeObserveOfTheFile(t *testing.T) {
	text := `observe=connections
virtual=192.0.2.10:80
	real=192.0.2.21:80 masq
virtual=192.0.2.11:53
	real=192.0.2.21:53 masq
	protocol=udp
	checktype=ping
	observe=no
`
	cfg, problems := Parse("test.cf", []byte(text))
	if len(problems) != 0 {
		t.Error(problems)
	}
	if !cfg.Services[0].Observe || cfg.Services[1].Observe {
		t.Errorf("observe is %v and %v", cfg.Services[0].Observe, cfg.Services[1].Observe)
	}
}
