package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/config/load"
	"lvs-agents/internal/control"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/report"
)

type reportCommand struct {
	File string `arg:"" optional:"" placeholder:"FILE" help:"The archive, which must not exist yet. Default: lvs-report-HOST-TIME.tar.gz in this directory."`
}

// commandsOfReport are the commands of lvsctl whose output is in a report, by the name of the file.
var commandsOfReport = []struct {
	file string
	args []string
}{
	{"version.txt", []string{"version"}},
	{"status.json", []string{"status", "--json"}},
	{"table.txt", []string{"show", "--output=ipvsadm"}},
	{"resources.txt", []string{"show"}},
	{"doctor.txt", []string{"doctor"}},
}

// programsOfReport are programs that change nothing, and whose output is in a report.
var programsOfReport = []struct {
	file    string
	command []string
}{
	{"system.txt", []string{"uname", "-a"}},
	{"os-release.txt", []string{"cat", "/etc/os-release"}},
	{"ipvs.txt", []string{"cat", "/proc/net/ip_vs"}},
	{"ipvs-counters.txt", []string{"cat", "/proc/net/ip_vs_stats"}},
	{"sysctl.txt", []string{"sysctl", "net.ipv4.vs", "net.ipv4.ip_forward", "net.ipv4.conf.all"}},
	{"modules.txt", []string{"cat", "/proc/modules"}},
	{"addresses.txt", []string{"ip", "-oneline", "address"}},
	{"rules.txt", []string{"ip", "rule"}},
	{"routes.txt", []string{"ip", "route", "show", "table", "all"}},
	{"nftables.txt", []string{"nft", "list", "ruleset"}},
	{"iptables.txt", []string{"iptables-save"}},
	{"cluster.txt", []string{"crm_mon", "--one-shot", "--inactive", "--show-node-attributes", "--failcounts"}},
	{"cluster-version.txt", []string{"pacemakerd", "--version"}},
	{"cib.xml", []string{"cibadmin", "--query"}},
	{"corosync.txt", []string{"corosync-cfgtool", "-s"}},
	{"log.txt", []string{"journalctl", "--no-pager", "--lines=5000", "--since=-24h", "--unit=directord@*", "--unit=ldirectord", "--unit=pacemaker", "--unit=corosync"}},
}

// logs are files whose end is in a report.
var logs = []string{"/var/log/ldirectord.log", "/var/log/pacemaker/pacemaker.log"}

// Run writes an archive with everything that a report of a bug needs. A part that cannot be read is
// an error in its file, and not an error of the command.
func (c reportCommand) Run(ctx context.Context, sys system) error {
	now := sys.now()
	name := fmt.Sprintf("lvs-report-%s-%s", sys.host, now.UTC().Format("20060102T150405Z"))
	var archive report.Archive
	for _, part := range commandsOfReport {
		var out bytes.Buffer
		inner := sys
		inner.stdout, inner.stderr, inner.stdin = &out, &out, nil
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		run(limited, part.args, inner)
		archive.Add(part.file, out.Bytes(), limited.Err())
		cancel()
	}
	for _, part := range programsOfReport {
		out, err := sys.output(ctx, part.command[0], part.command[1:]...)
		archive.Add(part.file, []byte(out), err)
	}
	stateFiles(&archive, sys.stateDir)
	reader := disk.Reader{Helper: sys.helper}
	for _, path := range slices.Concat(configurations(ctx, sys), logs) {
		_, text, err := load.Read(ctx, &reader, path)
		archive.Add("files"+path, text, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	file := cmp.Or(c.File, name+".tar.gz")
	if err := archive.Write(file, name, now); err != nil {
		return err
	}
	_, err := fmt.Fprintf(sys.stdout, "wrote %s: %d files, with *** in place of passwords; read them before you send the archive\n", file, len(archive.Names()))
	return err
}

// mostState is the most files of the state directory in a report.
const mostState = 500

// stateFiles adds the files with the state of agents and daemons: records, verdicts and the ledger.
func stateFiles(archive *report.Archive, dir string) {
	count := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if count++; count > mostState {
			return fmt.Errorf("more than %d files", mostState)
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		archive.Add("state/"+name, text, err)
		return nil
	})
	if err != nil {
		archive.Add("state.txt", nil, err)
	}
}

// configurations returns the paths of the configuration files of the daemons on this node.
func configurations(ctx context.Context, sys system) []string {
	ids, _ := control.IDs(sys.stateDir)
	var paths []string
	for _, id := range ids {
		limited, cancel := context.WithTimeout(ctx, time.Second)
		s, err := control.Status(limited, sys.stateDir, id)
		cancel()
		if err == nil && strings.HasPrefix(s.Config, "/") && !slices.Contains(paths, s.Config) {
			paths = append(paths, s.Config)
		}
	}
	if _, err := os.Stat("/etc/ha.d/ldirectord.cf"); !errors.Is(err, fs.ErrNotExist) && !slices.Contains(paths, "/etc/ha.d/ldirectord.cf") {
		paths = append(paths, "/etc/ha.d/ldirectord.cf")
	}
	return paths
}
