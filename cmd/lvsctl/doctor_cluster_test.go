package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/crm/cib"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/doctor"
)

// noCluster is the output of the programs on a host without Pacemaker.
func noCluster(context.Context, string, ...string) (string, error) { return "", cib.ErrNotInstalled }

// rightCluster is the output of the programs on a director of a cluster without faults.
func rightCluster(_ context.Context, name string, _ ...string) (string, error) {
	switch name {
	case "systemctl", "corosync-cmapctl":
		return "", nil
	case "cibadmin":
		return "<cib/>", nil
	case "crm_node":
		return "director1", nil
	}
	return `<r><summary><current_dc present="true" with_quorum="true"/><cluster_options stonith-enabled="true"/></summary>
<resources><resource id="fence" resource_agent="stonith:fence_ipmilan" managed="true"/></resources></r>`, nil
}

func TestDoctorExaminesTheCluster(t *testing.T) {
	tests := []struct {
		name           string
		mon            string
		err, units     error
		want, stderr   string
		keepalivedRuns bool
	}{
		{name: "no crm_mon", err: cib.ErrNotInstalled, stderr: "lvsctl: not examined: the cluster: crm_mon is not installed; in a cluster, install pacemaker\n"},
		{
			name: "Pacemaker does not run", err: cib.ErrNotRunning,
			stderr: "lvsctl: not examined: the cluster: Pacemaker does not run, or this user cannot connect to it; start pacemaker, or run lvsctl as root\n",
		},
		{name: "Pacemaker hangs", err: context.DeadlineExceeded, want: "crm_mon did not reply within 6s"},
		{name: "an error of crm_mon", err: errors.New("broken"), stderr: "lvsctl: not examined: the cluster: crm_mon: broken\n"},
		{name: "systemd hangs", units: context.DeadlineExceeded, stderr: "lvsctl: not examined: the cluster: systemctl did not end within 0s; type lvsctl doctor again; if it stays so, " + look + "\n"},
		{name: "no controller", mon: `<r/>`, want: "Pacemaker has no designated controller"},
		{name: "keepalived runs", keepalivedRuns: true, want: "keepalived.service runs, and the cluster does not control it"},
		{name: "no systemd", units: errors.New("no bus"), stderr: "lvsctl: not examined: the cluster: the units of systemd: systemctl: no bus\n"},
		{name: "right"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var errs strings.Builder
			sys := system{stderr: &errs, stateDir: t.TempDir(), director: &patient{directs: true}, node: healthy{}, kernel: fakeKernel{}}
			sys.output = func(ctx context.Context, name string, args ...string) (string, error) {
				text, _ := rightCluster(ctx, name, args...)
				switch {
				case name == "systemctl" && tt.keepalivedRuns:
					return "Id=keepalived.service\nActiveState=active\nUnitFileState=disabled\n", nil
				case name == "systemctl":
					return text, tt.units
				case name == "crm_mon" && (tt.mon != "" || tt.err != nil):
					return tt.mon, tt.err
				}
				return text, nil
			}
			found, complete := examine(t.Context(), sys, ofCluster)
			got := ""
			for _, f := range found {
				got += f.Why
			}
			if got != tt.want || errs.String() != tt.stderr || complete != (!strings.Contains(tt.name, "hangs") && !strings.HasPrefix(tt.name, "an error") || tt.name == "Pacemaker hangs") {
				t.Errorf("got %q, want %q; stderr %q, want %q", got, tt.want, errs.String(), tt.stderr)
			}
		})
	}
}

// filtered is a host with nftables.
type filtered struct{ healthy }

func (filtered) Savers() []string { return []string{"iptables-save", "nft --json list ruleset"} }

// TestDoctorReadsNftables checks what the doctor does with the output of nft.
func TestDoctorReadsNftables(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		err        error
		stderr     string
	}{
		{name: "no rules", text: `{"nftables": [{"metainfo": {"json_schema_version": 1}}]}`},
		{name: "nft is not installed", err: cib.ErrNotInstalled},
		{name: "nft fails", err: errors.New("not permitted"), stderr: "lvsctl: not examined: the cluster: nft: not permitted\n"},
		{name: "no JSON", stderr: "lvsctl: not examined: the cluster: nft: unexpected end of JSON input\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var errs strings.Builder
			sys := system{stderr: &errs, stateDir: t.TempDir(), director: &patient{directs: true}, node: filtered{}, kernel: fakeKernel{}}
			sys.output = func(ctx context.Context, name string, args ...string) (string, error) {
				if name == "nft" && strings.Join(args, " ") == "--json list ruleset" {
					return tt.text, tt.err
				}
				return rightCluster(ctx, name, args...)
			}
			found, complete := examine(t.Context(), sys, ofCluster)
			if len(found) != 0 || errs.String() != tt.stderr || complete != (tt.stderr == "") {
				t.Errorf("got %v, complete %v, stderr %q, want %q", found, complete, errs.String(), tt.stderr)
			}
		})
	}
}

// TestDoctorDoesNotWaitForWhatHangs checks that the doctor prints the other findings after an
// examination has not ended in time, and does not print fine.
func TestDoctorDoesNotWaitForWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs strings.Builder
		mounted := make(chan struct{})
		began := time.Now()
		found, complete := examine(t.Context(), system{stderr: &errs}, []examination{
			{"a dead mount", func(context.Context, system) ([]doctor.Finding, error) { <-mounted; return nil, nil }},
			{"a fault", func(context.Context, system) ([]doctor.Finding, error) { return []doctor.Finding{{What: "ill"}}, nil }},
			{"a slow network", func(ctx context.Context, _ system) ([]doctor.Finding, error) { <-ctx.Done(); return nil, ctx.Err() }},
		})
		if took := time.Since(began); took >= 10*time.Second || complete || len(found) != 1 {
			t.Errorf("after %v: %+v, complete %v", took, found, complete)
		}
		const again = "; type lvsctl doctor again; if it stays so, " + look + "\n"
		const want = "lvsctl: not examined: a dead mount: the examination did not end within 9s" + again +
			"lvsctl: not examined: a slow network: the examination did not end within 8s" + again
		if errs.String() != want {
			t.Errorf("got %q, want %q", errs.String(), want)
		}
		close(mounted)
	})
}

// TestDoctorReadsAFileOnce checks that a file that cannot be read in time gives one message for all
// its readers, and no advice about a fault.
func TestDoctorReadsAFileOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var errs strings.Builder
	sys := system{stderr: &errs, helper: []string{"/bin/sh", "-c", "sleep 60"}}
	now, failed := digests(ctx, sys, []doctor.Reading{{Who: "resource web-ipvs", Path: "/etc/web.cf"}, {Who: "health daemon web", Path: "/etc/web.cf"}})
	for _, err := range failed {
		printError(sys, "the configuration files", err, 2*time.Second)
	}
	const want = "lvsctl: not examined: the configuration files: the read of /etc/web.cf did not end within 2s; type lvsctl doctor again; " +
		"if it stays so, examine its file system: findmnt --target /etc/web.cf\n"
	if len(now) > 0 || errs.String() != want {
		t.Errorf("got %v, %q, want %q", now, errs.String(), want)
	}
}

// TestDoctorWithoutCrmMon checks that the answers from the CIB do not need crm_mon, and that one
// finding names all late programs.
func TestDoctorWithoutCrmMon(t *testing.T) {
	var errs strings.Builder
	sys := system{stderr: &errs, stateDir: t.TempDir(), director: &patient{directs: true}, node: healthy{}, kernel: fakeKernel{}}
	lateCIB := false
	sys.output = func(ctx context.Context, name string, args ...string) (string, error) {
		switch {
		case name == "crm_mon", name == "cibadmin" && lateCIB:
			return "", context.DeadlineExceeded
		case name == "cibadmin":
			return `<cib><configuration><constraints><rsc_location id="cli-prefer-web" rsc="web" node="director1"/></constraints></configuration></cib>`, nil
		}
		return rightCluster(ctx, name, args...)
	}
	found, complete := examine(t.Context(), sys, ofCluster)
	if len(found) != 2 || found[0].Why != "crm_mon did not reply within 6s" || !strings.Contains(found[1].Why, "cli-prefer-web") || !complete {
		t.Errorf("crm_mon is late: %v, complete %v", found, complete)
	}
	lateCIB = true
	found, complete = examine(t.Context(), sys, ofCluster)
	if len(found) != 1 || found[0].Why != "crm_mon and cibadmin did not reply within 6s" || !complete || errs.Len() > 0 {
		t.Errorf("both are late: %v, complete %v, %s", found, complete, errs.String())
	}
}

// TestDoctorOnAnIdleNode checks what the doctor finds on a node without a health daemon: its
// version and its configuration file are compared with the daemon of the other node.
func TestDoctorOnAnIdleNode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.cf")
	text := []byte("checkinterval=1\n")
	same, other := "1.0 "+load.Digest(text), "1.0 "+load.Digest([]byte("checkinterval=2\n"))
	for _, tt := range []struct {
		name      string
		published map[string]string
		text      []byte // text is the text of the file. Without a text, there is no file.
		inline    bool   // inline says that the services are parameters of a resource.
		want      string // want has the causes of the findings.
		fix       string
	}{
		{name: "the same file", published: published{"director2": same}, text: text},
		{
			name: "another file", published: published{"director2": other}, text: text,
			want: "the configuration files of the health daemons differ on director1 and director2", fix: "copy the right " + file + " to the other node",
		},
		{name: "another version", published: published{"director2": "1.1 " + load.Digest(text)}, text: text,
			want: "lvs-agents has version 1.0 on director1, and 1.1 on director2", fix: "install the same version of lvs-agents on both, then restart the health resource"},
		{name: "no file", published: published{"director2": same}, want: file + " does not exist here", fix: "copy the file from another director"},
		{name: "no daemon on any node", text: text},
		{name: "a daemon on this node", published: published{"director1": other, "director2": other}, text: text},
		{name: "parameters", published: published{"director2": "1.0 -"}, inline: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_ = os.Remove(file)
			if tt.text != nil {
				if err := os.WriteFile(file, tt.text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			param := `<nvpair name="config" value="` + file + `"/>`
			if tt.inline {
				param = `<nvpair name="ipvs" value="web-ipvs"/>`
			}
			var errs strings.Builder
			sys := system{
				stderr: &errs, stateDir: t.TempDir(), director: &patient{}, node: healthy{}, kernel: fakeKernel{}, version: "1.0",
				attributes: shares{"lvs-health-web-health-setup": tt.published},
			}
			sys.output = func(ctx context.Context, name string, args ...string) (string, error) {
				if name == "cibadmin" {
					return `<cib><configuration><resources><primitive id="web-health" provider="lvs" type="health"><instance_attributes>` + param +
						`</instance_attributes></primitive></resources></configuration></cib>`, nil
				}
				return rightCluster(ctx, name, args...)
			}
			found, complete := examine(t.Context(), sys, ofCluster)
			why, fix := "", ""
			for _, f := range found {
				why, fix = why+f.Why, fix+f.Fix
			}
			if why != tt.want || fix != tt.fix || errs.Len() > 0 || !complete {
				t.Errorf("got %q with the fix %q, want %q, %q; stderr %q", why, fix, tt.want, tt.fix, errs.String())
			}
		})
	}
}
