package kernel

import (
	"os"
	"strings"
	"testing"
)

// sysctls returns the values of sysctls that ipvs can set.
func (d director) sysctls(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	if err := d.Do(func() error {
		for _, name := range []string{"sloppy_tcp", "sloppy_sctp", "expire_nodest_conn", "expire_quiescent_template", "conn_reuse_mode"} {
			value, err := os.ReadFile("/proc/thread-self/root/proc/sys/net/ipv4/vs/" + name)
			if err != nil {
				return err
			}
			text.WriteString(name + " " + string(value))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestKilledWithASloppySetting makes two of the four checks of TestKilledAtEveryKernelOperation
// with an ipvs resource that also sets sysctls.
func TestKilledWithASloppySetting(t *testing.T) {
	params := append([]string{"sloppy_tcp=yes", "persistent=60", "expire_nodest_conn=yes"}, web...)
	for action, next := range map[string]string{"start": "stop", "stop": "start"} {
		t.Run(action+" then "+next, func(t *testing.T) { killedThen(t, "ipvs", params, action, next) })
	}
}

// TestSloppySettings checks two resources that set the same sysctl. The stop of the last one must
// restore the value that the first one found.
func TestSloppySettings(t *testing.T) {
	d := newDirector(t)
	mail := []string{"virtual=192.0.2.10:25", "real=192.0.2.21 gate"}
	d.must(t, 0, "ipvs", "web", "start", append(web, "sloppy_tcp=yes", "sloppy_sctp=yes")...)
	d.must(t, 0, "ipvs", "mail", "start", append(mail, "sloppy_tcp=yes")...)
	d.must(t, 1, "ipvs", "mail", "start", append(mail, "sloppy_tcp=no")...)
	const rest = "expire_nodest_conn 0\nexpire_quiescent_template 0\nconn_reuse_mode "
	for _, step := range []struct{ id, action, want string }{
		{"web", "monitor", "sloppy_tcp 1\nsloppy_sctp 1\n" + rest + "3\n"},
		{"web", "stop", "sloppy_tcp 1\nsloppy_sctp 0\n" + rest + "3\n"},
		{"mail", "monitor", "sloppy_tcp 1\nsloppy_sctp 0\n" + rest + "3\n"},
		{"mail", "stop", "sloppy_tcp 0\nsloppy_sctp 0\n" + rest + "1\n"},
	} {
		d.must(t, 0, "ipvs", step.id, step.action)
		if got := d.sysctls(t); got != step.want {
			t.Errorf("%s %s: got\n%swant\n%s", step.id, step.action, got, step.want)
		}
	}
	d.must(t, 0, "ipvs", "web", "start", append(web, "sloppy_tcp=yes")...)
	d.Script(t, "echo 0 >/proc/sys/net/ipv4/vs/sloppy_tcp")
	if out := d.must(t, 1, "ipvs", "web", "monitor"); !strings.Contains(out, "sysctl -w net.ipv4.vs.sloppy_tcp=1") {
		t.Error(out)
	}
	d.must(t, 0, "ipvs", "web", "stop")
}
