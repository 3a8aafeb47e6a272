package health

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// said is what a view prints for a daemon that does not reply.
const said = "has not replied for 800ms"

// soon is the time limit for what a view must show in a second. It is for a busy test host.
const soon = 3 * time.Second

// exactly fails the test if something took too long on an idle test host.
func exactly(t *testing.T, what string, took, limit time.Duration) {
	t.Helper()
	t.Logf("%s after %v", what, took.Round(time.Millisecond))
	if os.Getenv("LAB_EXACT") != "" && took > limit { // LAB_EXACT: the test host is idle, so short limits hold
		t.Errorf("%s after %v, more than %v", what, took, limit)
	}
}

// signal sends a signal to the daemon.
func (d director) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(d.pid(), signal); err != nil {
		t.Fatal(err)
	}
}

// lvsctl returns a command line of lvsctl for a shell.
func (d director) lvsctl(args string) string {
	return fmt.Sprintf("env LVS_AGENTS_STATE_DIR=%s %s %s", d.stateDir(), filepath.Join(d.bin, "lvsctl"), args)
}

// live starts lvsctl top in a terminal. After it ends, the terminal shows its exit code, and the
// settings of the terminal before and after.
func (d director) live(t *testing.T) *lab.Terminal {
	t.Helper()
	lab.Require(t, "tmux")
	return d.Terminal(t, 80, 24, "stty -g | cksum; "+d.lvsctl("top")+`; echo "exit code $?"; stty -g | cksum; exec sleep 600`)
}

// ended waits until lvsctl top has ended and has restored the terminal.
func ended(t *testing.T, screen *lab.Terminal) {
	t.Helper()
	lab.Wait(t, soon, "end of lvsctl top", func() error {
		lines := strings.Split(strings.TrimSpace(screen.Screen(t)), "\n")
		if len(lines) != 3 || lines[1] != "exit code 0" {
			return fmt.Errorf("%q", lines)
		}
		if lines[0] != lines[2] {
			t.Errorf("the settings of the terminal changed: %q", lines)
		}
		return nil
	})
	if modes := screen.Modes(t); modes != "alternate screen 0, cursor 1, mouse 0, keypad 00" {
		t.Error(modes)
	}
}

// waitScreen waits until a screen matches a pattern, and returns how long this took.
func waitScreen(t *testing.T, screen *lab.Terminal, limit time.Duration, pattern string) time.Duration {
	t.Helper()
	began := time.Now()
	lab.Wait(t, limit, pattern, func() error {
		if text := screen.Screen(t); !regexp.MustCompile("(?m)" + pattern).MatchString(text) {
			return errors.New(text)
		}
		return nil
	})
	return time.Since(began)
}

// TestLiveView uses lvsctl top in a terminal of 80 columns, while clients request pages.
func TestLiveView(t *testing.T) {
	d := newDirector(t, "yes")
	d.Script(t, "ip addr add 192.0.2.10/32 dev eth0")
	d.directord(t, 0, "start")
	d.WaitTable(t, 5*time.Second, service+rs1+rs2)
	load := d.topology.Host("client").Load(t, 2, "192.0.2.10:80", 5*time.Second)
	screen := d.live(t)
	waitScreen(t, screen, 10*time.Second, `\A`+strings.Join([]string{
		`lvsctl top on \S+ at \d\d:\d\d:\d\d: 1 daemon, 1 service, 2 real servers`,
		`2 good, 0 bad, 0 unknown; \d+ active, \d+ inactive; [1-9]\d* conn/s, [1-9]\d* in/s, .*`,
		`sort: server  orders: off  keys: \?`,
		` SERVER               WEIGHT VERDICT SINCE ACTIV INACT CONN/S  IN/S OUT/S TREND`,
		`>TCP  192\.0\.2\.10:80 rr       2/2 good     +\d+ +\d+ +[1-9]\d* +[1-9]\d* +0 +[▁-█]+`,
		`  192\.0\.2\.21:80       1      good \S+ +\d+ +\d+ +[1-9]\d* +[1-9]\d* +0 +[▁-█]+`,
		`  192\.0\.2\.22:80       1      good \S+ +\d+ +\d+ +[1-9]\d* +[1-9]\d* +0 +[▁-█]+`,
	}, "\n")+`\n\n`)
	t.Logf("under load:\n%s", screen.Screen(t))

	d.topology.Host("rs2").SetHealthy(t, false)
	exactly(t, "bad", waitScreen(t, screen, 2*soon, `^  192\.0\.2\.22:80       0/1    bad \S+ `), 3*time.Second)
	screen.Press(t, "Down", "Down")
	waitScreen(t, screen, soon, `^> 192\.0\.2\.22:80 (.*\n+)+GET http://192\.0\.2\.22:80/\.health\.html: status 404 Not Found$`)
	t.Logf("rs2 is bad:\n%s", screen.Screen(t))
	d.topology.Host("rs2").SetHealthy(t, true)
	waitScreen(t, screen, 2*soon, `^> 192\.0\.2\.22:80       1      good `)

	screen.Press(t, "d")
	waitScreen(t, screen, soon, `^orders are off; the key ! turns them on$`)
	screen.Press(t, "y")
	waitScreen(t, screen, soon, `^> 192\.0\.2\.22:80       1      good `)
	d.WaitTable(t, 0, service+rs1+rs2)
	screen.Press(t, "!", "d")
	waitScreen(t, screen, soon, `^sort: server  orders: ON  keys: \?$(.*\n+)+^drain 192\.0\.2\.22:80 of -t 192\.0\.2\.10:80\? y gives the order`)
	d.WaitTable(t, 0, service+rs1+rs2)
	screen.Press(t, "y")
	waitScreen(t, screen, soon, `^drain 192\.0\.2\.22:80 of -t 192\.0\.2\.10:80: done$`)
	d.WaitTable(t, 0, service+rs1+rs2out)
	waitScreen(t, screen, soon, `^> 192\.0\.2\.22:80       0/1    good `)
	t.Logf("rs2 is drained:\n%s", screen.Screen(t))
	screen.Press(t, "Up", "d", "y")
	waitScreen(t, screen, soon, `^drain 192\.0\.2\.21:80 of -t 192\.0\.2\.10:80: directord web: after drain,\s+no\s+real\s+server`)
	d.WaitTable(t, 0, service+rs1+rs2out)
	screen.Press(t, "Down", "u", "y")
	waitScreen(t, screen, soon, `^undrain 192\.0\.2\.22:80 of -t 192\.0\.2\.10:80: done$`)
	d.WaitTable(t, 0, service+rs1+rs2)

	screen.Press(t, "Enter")
	waitScreen(t, screen, soon, `\A192\.0\.2\.22:80 -t 192\.0\.2\.10:80\n-t 192\.0\.2\.10:80, rr: 2 of 2 real servers good$`)
	screen.Press(t, "q")
	waitScreen(t, screen, soon, `^> 192\.0\.2\.22:80 `)
	screen.Press(t, "q")
	ended(t, screen)
	if tally := load.Stop(t); tally.Served < 10 || tally.Refused+tally.Reset+tally.Sorry+len(tally.Other) > 0 {
		t.Errorf("%v %q", tally, tally.Other)
	}

	screen = d.live(t)
	waitScreen(t, screen, 10*time.Second, `^  192\.0\.2\.22:80       1      good `)
	d.Script(t, "kill -TERM $(pgrep -P "+screen.PID(t)+")")
	ended(t, screen)

	screen = d.live(t)
	waitScreen(t, screen, 10*time.Second, `^  192\.0\.2\.22:80       1      good `)
	d.signal(t, syscall.SIGSTOP)
	exactly(t, "silent in top", waitScreen(t, screen, soon, `^directord web `+said+`$`), 2*time.Second)
	d.signal(t, syscall.SIGCONT)
	waitScreen(t, screen, soon, `^  192\.0\.2\.22:80       1      good `)
	d.signal(t, syscall.SIGKILL)
	exactly(t, "dead in top", waitScreen(t, screen, soon, `^querying directord web: the daemon has died and left its socket`), 1500*time.Millisecond)
	waitScreen(t, screen, soon, `\A.*: 1 daemon, 0 services, 0 real servers$`)
	t.Logf("the daemon is dead:\n%s", screen.Screen(t))
	screen.Press(t, "q")
	ended(t, screen)
}

// TestSilentDaemon suspends the daemon. Every view must report this within a second after it has
// sent its query.
func TestSilentDaemon(t *testing.T) {
	d := newDirector(t, "yes")
	d.directord(t, 0, "start")
	d.WaitTable(t, 5*time.Second, service+rs1+rs2)
	d.Start(t, "sh", "-c", "exec "+d.lvsctl("serve"))
	const page = "http://127.0.0.1:9946/"
	get := func(url string) (string, error) { return d.Get(t.Context(), url) }
	lab.Wait(t, 10*time.Second, "page", func() error {
		text, err := get(page)
		if err == nil && !strings.Contains(text, "<td>works</td>") {
			err = errors.New(text)
		}
		return err
	})
	watch := d.Start(t, "sh", "-c", "exec "+d.lvsctl("events -w -n 20"))
	d.topology.Host("rs1").SetHealthy(t, false)
	waitOutput := func(what string, p *lab.Process, text string) time.Duration {
		t.Helper()
		began := time.Now()
		lab.Wait(t, soon, what, func() error {
			if out := p.Output(); !strings.Contains(out, text) {
				return errors.New(out)
			}
			return nil
		})
		return time.Since(began)
	}
	waitOutput("event", watch, "server down")

	d.signal(t, syscall.SIGSTOP)
	exactly(t, "silent in events -w that ran before", waitOutput("events", watch, "lvsctl: directord web "+said+"; its events are missing"), 2*time.Second)
	for _, args := range []string{"status", "status --json", "explain 192.0.2.10:80", "events -w", "events -w -n 5"} {
		view := d.Start(t, "sh", "-c", "exec "+d.lvsctl(args))
		exactly(t, "silent in "+args, waitOutput(args, view, "lvsctl: directord web "+said), 1500*time.Millisecond)
		view.Kill()
	}
	for url, text := range map[string]string{
		page:             "1 of 1 daemon at fault; ",
		page + "metrics": "\nlvs_directord_up{daemon=\"web\"} 0\n",
	} {
		began := time.Now()
		got, err := get(url)
		if err != nil || !strings.Contains(got, text) {
			t.Errorf("%s: %v\n%s", url, err, got)
		}
		took := time.Since(began)
		exactly(t, "silent in "+url, took, time.Second)
		if took > soon {
			t.Errorf("%s after %v", url, took)
		}
	}
	if code, out := d.run(t, nil, filepath.Join(d.bin, "lvsctl"), "events", "-n", "1"); code != 0 || !strings.Contains(out, "server down") {
		t.Errorf("events without -w need no daemon: %d %s", code, out)
	}

	d.signal(t, syscall.SIGCONT)
	waitOutput("events", watch, "lvsctl: directord web replies again")
	d.topology.Host("rs1").SetHealthy(t, true)
	waitOutput("event", watch, "server up")
	d.signal(t, syscall.SIGKILL)
	exactly(t, "dead in events -w", waitOutput("end", watch, "lvsctl: directord web: the daemon has ended"), time.Second)
	for _, args := range []string{"status", "explain 192.0.2.10:80", "events -w"} {
		view := d.Start(t, "sh", "-c", "exec "+d.lvsctl(args))
		exactly(t, "dead in "+args, waitOutput(args, view, "the daemon has died and left its socket"), 1500*time.Millisecond)
		if err := view.Wait(); err == nil {
			t.Errorf("%s: exit code 0 although the daemon has died", args)
		}
	}
	if got, err := get(page); err != nil || !strings.Contains(got, "the daemon has died and left its socket") {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err := get(page + "metrics"); err != nil || !strings.Contains(got, "\nlvs_directord_up{daemon=\"web\"} 0\n") {
		t.Errorf("%v\n%s", err, got)
	}
}
