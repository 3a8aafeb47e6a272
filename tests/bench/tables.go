package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/lvs"
)

// large measures tables with 10,000 destinations in the lab's kernel. The reference is ipvsadm.
func large(bin string) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var rows []row
	// With one service, the kernel's search of the other destinations takes most of the time.
	for _, size := range []struct {
		services, servers int
		least             float64
	}{{1000, 10, 6}, {1, 10000, 0}} {
		config := filepath.Join(dir, fmt.Sprintf("%d.cf", size.services))
		saved := filepath.Join(dir, fmt.Sprintf("%d.rules", size.services))
		if err := writeLarge(config, saved, size.services, size.servers); err != nil {
			return err
		}
		env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "OCF_RESOURCE_INSTANCE=web", "OCF_RESKEY_CRM_meta_timeout=120000", "LVS_AGENTS_STATE_DIR=" + dir + "/lvs-agents", "OCF_RESKEY_config=" + config}
		agent := func(action string) subject {
			return subject{name: "ipvs " + action, argv: []string{bin + "/ipvs", action}, env: env}
		}
		start, stop, clear := agent("start").words(), agent("stop").words(), []string{"ipvsadm", "-C"}
		restore := alone("ipvsadm -R", env, "sh", "-c", "exec ipvsadm -R <"+saved)
		title := fmt.Sprintf("%d × %d: ", size.services, size.servers)
		rows = append(rows,
			row{title: title + "write", rounds: 3, least: size.least, subjects: []subject{
				alone("internal/kernel/ipvs", env, os.Args[0], "restore", saved), restore}},
			row{title: title + "start", rounds: 3, subjects: []subject{
				alone("ipvs start", env, agent("start").argv...), restore}},
			row{title: title + "compare", rounds: 5, begin: start, end: stop, subjects: []subject{
				agent("monitor"), {name: "ipvsadm -Sn", argv: []string{"ipvsadm", "-Sn"}}}},
			row{title: title + "stop", rounds: 3, subjects: []subject{
				{name: "ipvs stop", argv: agent("stop").argv, env: env, before: start},
				{name: "ipvsadm -C", argv: clear, before: []string{"sh", "-c", "ipvsadm -R <" + saved}}}},
		)
	}
	return table("tables with 10,000 destinations, in the lab's kernel", rows)
}

// alone returns a subject that runs in a new network namespace: the kernel keeps removed
// destinations for a minute, and each addition searches them (ip_vs_ctl.c, ip_vs_trash_get_dest).
func alone(name string, env []string, argv ...string) subject {
	return subject{
		name: name, argv: append([]string{"nsenter", "--net=/run/netns/bench"}, argv...), env: env,
		before: []string{"sh", "-c", "ip netns add bench && ip -n bench link set lo up"},
		// The kernel would remove the table in the background, during the next measurement.
		after: []string{"sh", "-c", "ip netns exec bench ipvsadm -C; ip netns delete bench"},
	}
}

// words returns a command that runs the subject with its environment.
func (s subject) words() []string { return append(append([]string{"env", "-i"}, s.env...), s.argv...) }

// writeLarge writes a configuration file, and the same table for ipvsadm -R.
func writeLarge(config, saved string, services, servers int) error {
	var file, rules strings.Builder
	for i := range services {
		service := fmt.Sprintf("192.0.%d.%d:80", 2+i/250, 1+i%250)
		fmt.Fprintf(&file, "virtual=%s\n\tchecktype=off\n", service)
		fmt.Fprintf(&rules, "-A -t %s -s wrr\n", service)
		for j := range servers {
			server := fmt.Sprintf("198.51.%d.%d:80", j/250, 1+j%250)
			fmt.Fprintf(&file, "\treal=%s gate\n", server)
			fmt.Fprintf(&rules, "-a -t %s -r %s -g -w 1\n", service, server)
		}
	}
	if err := os.WriteFile(config, []byte(file.String()), 0o600); err != nil {
		return err
	}
	return os.WriteFile(saved, []byte(rules.String()), 0o600)
}

// restore writes a table into the kernel, as ipvsadm -R does.
func restore(saved string) error {
	text, err := os.ReadFile(saved)
	if err != nil {
		return err
	}
	want, err := lvs.ParseTable(string(text))
	if err != nil {
		return err
	}
	k := ipvs.New()
	defer func() { _ = k.Close() }()
	_, err = k.Apply(context.Background(), lvs.Plan(want, nil, lvs.ScopeOf(want)))
	return err
}
