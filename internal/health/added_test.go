package health_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
)

const four, web = "192.0.2.24:80", "-t 192.0.2.10:80"

func adding(weight int) control.Order { return control.Order{Kind: "add", Weight: weight, By: "eva"} }

// reals returns the real servers of the first service in the status.
func reals(t *testing.T, d *health.Daemon) []control.Real {
	t.Helper()
	s, err := d.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Services[0].Reals
}

func TestAddedServerJoinsAfterItsChecksAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, governed)
		w.run(t, "web", func(d *health.Daemon) {
			w.set(func() { w.down["192.0.2.24"] = true })
			w.happened()
			w.refuse(t, d, "", adding(7), four)
			w.settle()
			if share, err := d.Share(t.Context()); err != nil || share.All != 300 || share.Good != 300 {
				t.Errorf("share with a bad added server: %+v, %v", share, err)
			}
			if got := reals(t, d); len(got) != 4 || got[3].Verdict != "bad" || got[3].Forward != "Route" || got[3].Configured != 7 || got[3].Weight > 0 || got[3].Orders[0].Kind != "add" {
				t.Errorf("bad: %+v", got)
			}
			w.set(func() { w.down["192.0.2.24"] = false })
			w.settle()
			w.wantWeights(t, "good", "100 100 100 7")
			events := w.happened()
			for _, want := range []string{"order_given -t 192.0.2.10:80 -r 192.0.2.24:80", "server_up -t 192.0.2.10:80 -r 192.0.2.24:80 0:7 http good"} {
				if !strings.Contains(events, want) {
					t.Errorf("no event %s in:\n%s", want, events)
				}
			}
			if records, _, err := w.store.Others(""); err != nil || strings.Contains(fmt.Sprint(records), "192.0.2.24") {
				t.Errorf("the record has the added real server: %v, %v", records, err)
			}
			w.refuse(t, d, "", control.Order{Kind: "weight", Weight: 9}, four)
			w.wantWeights(t, "weighed", "100 100 100 9")
			w.give(t, d, "ready", four)
			w.wantWeights(t, "ready ends only the weight", "100 100 100 7")
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.wantWeights(t, "after a reload", "100 100 100 7")
			e, err := d.Explain(t.Context(), control.Filter{Service: web, Server: four})
			if err != nil || len(e.Services) != 1 || len(e.Services[0].Reals) != 1 || len(e.Services[0].Reals[0].Checks) != 1 || !strings.Contains(e.Services[0].Reals[0].Checks[0].Query, "http://"+four) {
				t.Errorf("explain: %+v, %v", e, err)
			}
		})
		w.set(func() { w.lines.Reset() })
		w.happened()
		w.run(t, "web", func(d *health.Daemon) {
			w.wantWeights(t, "after a restart", "100 100 100 7")
			if events := w.happened(); strings.Contains(events, "192.0.2.24") {
				t.Errorf("the restart changed the added server:\n%s", events)
			}
			w.change(t, "-d -t 192.0.2.10:80 -r 192.0.2.24:80")
			w.settle()
			w.wantWeights(t, "repaired", "100 100 100 7")
			w.give(t, d, "drain", four)
			w.happened()
			w.give(t, d, "remove", four)
			w.wantWeights(t, "removed", "100 100 100")
			if got := reals(t, d); len(got) != 3 {
				t.Errorf("removed: %+v", got)
			}
			if events := w.happened(); !strings.Contains(events, "server_removed -t 192.0.2.10:80 -r 192.0.2.24:80 0:-1") {
				t.Errorf("events of the removal:\n%s", events)
			}
			w.set(func() { w.down["192.0.2.24"] = true })
			w.refuse(t, d, "", adding(7), four)
			w.settle()
			if got := reals(t, d); got[3].Weight > 0 || len(got[3].Orders) != 1 {
				t.Errorf("a bad server that was in the table before: %+v", got[3])
			}
			w.give(t, d, "remove", four)
		})
		if len(w.orders) != 0 {
			t.Errorf("stored: %+v", w.orders)
		}
	})
}

func TestAddedServerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, governed)
		w.run(t, "web", func(d *health.Daemon) {
			limited := adding(7)
			limited.Until = time.Now().Add(time.Minute)
			w.refuse(t, d, "", limited, four)
			w.settle()
			w.wantWeights(t, "added", "100 100 100 7")
			w.happened()
			<-time.After(time.Minute)
			w.settle()
			w.wantWeights(t, "its time is over", "100 100 100")
			events := w.happened()
			if !strings.Contains(events, "order_ended -t 192.0.2.10:80 -r 192.0.2.24:80") || !strings.Contains(events, "its time is over") {
				t.Errorf("events:\n%s", events)
			}
			w.refuse(t, d, "", adding(7), four)
			w.settle()
			w.set(func() { w.text = strings.Replace(w.text, "\tfallback", "\treal=192.0.2.24:80 gate 100\n\tfallback", 1) })
			w.logged()
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.wantWeights(t, "the configuration counts", "100 100 100 100")
			if events := w.happened(); !strings.Contains(events, "order_ended -t 192.0.2.10:80 -r 192.0.2.24:80") || strings.Contains(events, "server_down") {
				t.Errorf("events:\n%s", events)
			}
			if lines := w.logged(); !strings.Contains(lines, "has ended: the configuration has this real server") {
				t.Errorf("log:\n%s", lines)
			}
			if len(w.orders) != 0 {
				t.Errorf("stored: %+v", w.orders)
			}
		})
	})
}

func TestAddedServersThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, governed)
		w.run(t, "web", func(d *health.Daemon) {
			w.refuse(t, d, "service -t 192.0.2.10:80 already has the real server 192.0.2.21:80", adding(1), one)
			w.refuse(t, d, "service -t 192.0.2.10:80 already has the real server 127.0.0.1:80", adding(1), "127.0.0.1:80")
			w.refuse(t, d, "weight -1 is not between 0 and 65535", adding(-1), four)
			w.refuse(t, d, "adding to -t 192.0.2.10:80: real server 192.0.2.10:80 has the address of its service -t 192.0.2.10:80, so its checks would reach the service and not one server; for a server on the director itself, use 127.0.0.1 or ::1", adding(1), "192.0.2.10:80")
			port := adding(1)
			w.refuse(t, d, "adding to -t 192.0.2.10:80: real server 192.0.2.24:81: direct routing and tunnels cannot change the port: it is 81 here and 80 in the service; use the same port or masq", port, "192.0.2.24:81")
			port.Forward = "masq"
			w.refuse(t, d, "", port, "192.0.2.24:81")
			w.settle()
			if got := reals(t, d); got[3].Forward != "Masq" || got[3].Verdict != "good" {
				t.Errorf("masq: %+v", got[3])
			}
			port.Forward = "ipip"
			w.refuse(t, d, "adding to -t 192.0.2.10:80: real server [2001:db8::24%eth0]:80: an address with a zone; leave out % and the text after it, because IPVS has no zones",
				port, "[2001:db8::24%eth0]:80")
			w.refuse(t, d, "adding to -t 192.0.2.10:80: real server [::ffff:192.0.2.21]:80: an IPv4 address in IPv6 form; use 192.0.2.21", port, "[::ffff:192.0.2.21]:80")
			var many []string
			for i := range 1023 {
				many = append(many, fmt.Sprintf("192.0.%d.%d:80", 100+i/200, 1+i%200))
			}
			w.refuse(t, d, "", adding(1), many...)
			w.refuse(t, d, "operators can add at most 1024 real servers to service -t 192.0.2.10:80; write them into the configuration", adding(1), four)
		})
	})
}

func TestAddedServersOfTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, governed)
		w.run(t, "web", func(d *health.Daemon) {
			order := adding(7)
			order.Cluster, order.Since = true, time.Now().UTC()
			c := control.Command{Service: web, Servers: []string{four}, Order: order}
			obey := func(commands ...control.Command) {
				t.Helper()
				if err := d.Obey(t.Context(), commands); err != nil {
					t.Fatal(err)
				}
				w.settle()
			}
			obey(c)
			w.wantWeights(t, "added", "100 100 100 7")
			w.refuse(t, d, "the order "+order.String()+" stays, because it is an order of the cluster; end it with --on", control.Order{Kind: "remove"}, four)
			c.Order.Weight = 8
			obey(c)
			w.wantWeights(t, "another weight", "100 100 100 8")
			obey()
			w.wantWeights(t, "ended", "100 100 100")
		})
	})
}

func TestAddedServerOfAResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.resource(t, "web-ipvs", vs+rs1+rs2)
		const rs4 = "-a -t 192.0.2.10:80 -r 192.0.2.24:80 -g -w 1\n"
		w.run(t, "web", func(d *health.Daemon) {
			w.refuse(t, d, "", adding(1), four)
			w.settle()
			w.want(t, vs+rs1+rs2+rs4)
			r, err := w.store.Load("web-ipvs")
			if err != nil || r.Generation != 1 || strings.Contains(r.Services.String(), "192.0.2.24") {
				t.Errorf("record %+v, error %v", r, err)
			}
			// The resource restarts: it writes its record again, without a claim and the added server.
			w.change(t, "-D -t 192.0.2.10:80")
			w.resource(t, "web-ipvs", vs+rs1+rs2)
			w.settle()
			w.settle()
			w.want(t, vs+rs1+rs2+rs4)
		})
		w.run(t, "web", func(*health.Daemon) { w.want(t, vs+rs1+rs2+rs4) })
	})
}

func TestAddedServerHasTheChecksOfALineWithoutSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `checkinterval=1
virtual=192.0.2.10:80
	real=192.0.2.21:80 masq 1 "own.html", "own"
	request="all.html"
	receive="fine"
	virtualhost=example.com
`)
		w.run(t, "web", func(d *health.Daemon) {
			w.refuse(t, d, "", adding(1), "192.0.2.24:8080")
			w.settle()
			e, err := d.Explain(t.Context(), control.Filter{Service: web, Server: "192.0.2.24:8080"})
			if err != nil {
				t.Fatal(err)
			}
			real := e.Services[0].Reals[0]
			if c := real.Checks[0]; real.Forward != "Masq" || c.Query != "GET http://192.0.2.24:8080/all.html" || !strings.Contains(c.Expected, `"fine"`) {
				t.Errorf("%+v", real)
			}
		})
	})
}
