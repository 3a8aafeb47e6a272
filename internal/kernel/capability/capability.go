// Package capability finds out what the running kernel has for IPVS. It reads files only: it loads
// no module and makes no service, so it does not change the host. It does not decide by the version
// of the kernel, because distributions move features to older versions.
package capability

import (
	"bufio"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// Kernel reads the files of a host. It reads the sysctls of the caller's network namespace.
type Kernel struct {
	Root fs.FS // Root is the root directory of the host.
}

// New returns the kernel of this host.
func New() Kernel { return Kernel{os.DirFS("/")} }

const ipvs = "ip_vs"

// known describes where a feature is.
type known struct {
	module string
	// symbols are functions of ip_vs. The kernel has the feature if it has one of them.
	symbols []string
	since   string // since is the first version with the feature. It is empty for old features.
	option  string // option is the option of the kernel's configuration.
}

var features = map[lvs.Feature]known{
	lvs.FeatureIPVS: {module: ipvs, option: "CONFIG_IP_VS"},
	lvs.FeatureIPv6: {symbols: []string{"ip_vs_tunnel_xmit_v6"}, option: "CONFIG_IP_VS_IPV6"},
	lvs.FeatureSCTP: {symbols: []string{"sctp_conn_schedule"}, option: "CONFIG_IP_VS_PROTO_SCTP"},
	lvs.FeatureGUE:  {symbols: []string{"ipvs_gue_encap", "ip_vs_find_tunnel"}, since: "5.2", option: "CONFIG_IP_VS"},
	lvs.FeatureGRE:  {symbols: []string{"ipvs_gre_encap", "ip_vs_find_tunnel"}, since: "5.3", option: "CONFIG_IP_VS"},
	lvs.FeatureSIP:  {module: "ip_vs_pe_sip", option: "CONFIG_IP_VS_PE_SIP"},
}

// newSchedulers are the first versions of schedulers that not every kernel in use has.
var newSchedulers = map[string]string{"mh": "4.18", "twos": "5.12"}

// newSysctls are the first versions of sysctls that not every kernel in use has.
var newSysctls = map[string]string{
	"sync_ports": "3.5", "sync_refresh_period": "3.5", "sync_retries": "3.5", "sloppy_tcp": "3.11", "sloppy_sctp": "3.11", "sync_persist_mode": "3.11",
	"conn_reuse_mode": "4.1", "run_estimation": "5.15", "est_cpulist": "6.2", "est_nice": "6.2",
	"conn_lfactor": "7.1", "svc_lfactor": "7.1", "conn_max": "7.2",
}

// Release returns the version of the running kernel.
func (k Kernel) Release() string { return k.text("proc/sys/kernel/osrelease") }

// Feature reports whether the kernel has a feature.
func (k Kernel) Feature(f lvs.Feature) host.Capability {
	where, special := features[f]
	if name, is := strings.CutPrefix(string(f), "scheduler "); is && !special {
		where = known{module: "ip_vs_" + name, since: newSchedulers[name], option: "CONFIG_IP_VS_" + strings.ToUpper(name)}
	}
	c := host.Capability{Name: string(f)}
	if where.module != "" {
		k.module(&c, where)
		return c
	}
	k.symbol(&c, where)
	return c
}

// module finds out whether a module is loaded, built in, or on the disk.
func (k Kernel) module(c *host.Capability, where known) {
	name := where.module
	dir := "lib/modules/" + k.Release() + "/"
	builtin, _ := k.lists(dir+"modules.builtin", name)
	onDisk, err := k.lists(dir+"modules.dep", name)
	override := k.override(name)
	switch {
	case k.exists("sys/module/"+name) || builtin:
		c.Presence = host.Present
	case err != nil:
		c.Why = "/" + dir + "modules.dep cannot be read, so it is not known which modules this kernel has"
		if name == ipvs && k.exists("proc/modules") {
			c.Why += "; after an upgrade of the kernel, boot the new one"
		}
	case onDisk && override != "":
		c.Presence = host.Blocked
		c.Why, c.Fix = "module "+name+" is not loaded, and "+override+" prevents it", "remove that line, then modprobe "+name
	case onDisk:
		c.Presence = host.Loadable
	default:
		c.Presence, c.Why = host.Missing, "kernel "+k.Release()+" has no module "+name
		c.Fix = k.install(where)
	}
}

// symbol finds out whether ip_vs has a function.
func (k Kernel) symbol(c *host.Capability, where known) {
	if base := k.Feature(lvs.FeatureIPVS); base.Presence != host.Present {
		c.Why = "module ip_vs is not loaded"
		return
	}
	has, others := false, false
	_ = k.lines("proc/kallsyms", func(line string) {
		words := strings.Fields(line)
		if len(words) < 3 {
			return
		}
		others = others || strings.HasPrefix(words[2], "ip_vs_")
		name, _, _ := strings.Cut(words[2], ".") // the compiler adds .constprop.0 and the like
		for _, symbol := range where.symbols {
			has = has || name == symbol
		}
	})
	switch {
	case has:
		c.Presence = host.Present
	case !others:
		c.Why = "/proc/kallsyms has no function of ip_vs"
	default:
		c.Presence, c.Why = host.Missing, "ip_vs of kernel "+k.Release()+" is built without it"
		c.Fix = "boot a kernel with " + where.option + built(where.since)
	}
}

// Sysctl reports whether the network namespace has net.ipv4.vs.NAME, and its value. It is Blocked
// if it is read-only, as in a namespace of an unprivileged user.
func (k Kernel) Sysctl(name string) host.Capability {
	c := host.Capability{Name: "net.ipv4.vs." + name}
	file := "proc/sys/net/ipv4/vs/" + name
	info, err := fs.Stat(k.Root, file)
	switch {
	case err == nil && info.Mode().Perm()&0o222 == 0:
		c.Presence, c.Value = host.Blocked, k.text(file)
		c.Why, c.Fix = "it is read-only in this namespace", "set it as root of the host"
	case err == nil:
		c.Presence, c.Value = host.Present, k.text(file)
	case k.Feature(lvs.FeatureIPVS).Presence != host.Present:
		c.Why = "module ip_vs is not loaded"
	default:
		c.Presence, c.Why = host.Missing, "ip_vs of kernel "+k.Release()+" does not have it"
		c.Fix = "remove the setting from the configuration, or boot a newer kernel" + built(newSysctls[name])
	}
	return c
}

// Tables reports whether each network namespace has its own tables, which the kernel resizes.
func (k Kernel) Tables() host.Capability {
	c := host.Capability{Name: "tables of each namespace, resized by the kernel"}
	switch {
	case k.exists("proc/thread-self/net/ip_vs_status"):
		c.Presence = host.Present
	case k.Feature(lvs.FeatureIPVS).Presence != host.Present:
		c.Why = "module ip_vs is not loaded"
	default:
		c.Presence, c.Why = host.Missing, "there is no /proc/net/ip_vs_status"
		c.Fix = "boot a newer kernel" + built("7.1")
	}
	return c
}

// Connections returns the number of connections of the network namespace. It is not known without
// the counter of newer kernels.
func (k Kernel) Connections() (n int, known bool) {
	_ = k.lines("proc/thread-self/net/ip_vs_status", func(line string) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == "Conns:" {
			count, err := strconv.Atoi(words[1])
			n, known = count, err == nil
		}
	})
	return n, known
}

// All returns every feature, the tables, and the sysctls that not every kernel has.
func (k Kernel) All() []host.Capability {
	var all []host.Capability
	for _, f := range lvs.Features() {
		all = append(all, k.Feature(f))
	}
	all = append(all, k.Tables())
	for _, name := range slices.Sorted(maps.Keys(newSysctls)) {
		all = append(all, k.Sysctl(name))
	}
	return all
}

// Lacks returns a host.ErrNotInstalled if the host certainly lacks one of the features.
func (k Kernel) Lacks(needs ...lvs.Feature) error {
	for _, f := range needs {
		if c := k.Feature(f); c.Lacks() {
			return host.NotInstalled("%s is not available: %s; %s", quoted(f), c.Why, c.Fix)
		}
	}
	return nil
}

// quoted returns the name of a feature as messages write it: scheduler "mh".
func quoted(f lvs.Feature) string {
	words := strings.Fields(string(f))
	if len(words) < 2 {
		return string(f)
	}
	last := len(words) - 1
	words[last] = `"` + words[last] + `"`
	return strings.Join(words, " ")
}

// built returns a text that names the first version of Linux with a feature.
func built(since string) string {
	if since == "" {
		return ""
	}
	return " (Linux has it since " + since + ")"
}

// install returns how the module of a feature gets onto this host.
func (k Kernel) install(where known) string {
	release, id := k.Release(), " "+k.distribution()+" "
	has := func(name string) bool { return strings.Contains(id, " "+name+" ") }
	otherwise := ", or boot a kernel with " + where.option + built(where.since)
	switch {
	case has("rhel") || has("fedora") || has("centos"):
		return "dnf install kernel-modules-" + release + " kernel-modules-extra-" + release + otherwise
	case has("ubuntu"):
		return "apt install linux-modules-extra-" + release + otherwise
	case has("debian") && strings.Contains(release, "cloud"):
		return "install linux-image without cloud in its name" + otherwise
	case has("suse") || has("opensuse"):
		return "zypper install kernel-default in place of kernel-default-base" + otherwise
	}
	return strings.TrimPrefix(otherwise, ", or ")
}

// distribution returns the words of ID and ID_LIKE in /etc/os-release.
func (k Kernel) distribution() string {
	var words []string
	read := func(line string) {
		name, value, _ := strings.Cut(line, "=")
		if name == "ID" || name == "ID_LIKE" {
			words = append(words, strings.Trim(value, `"'`))
		}
	}
	if k.lines("etc/os-release", read) != nil {
		_ = k.lines("usr/lib/os-release", read)
	}
	return strings.Join(words, " ")
}

// override returns the line of modprobe.d that runs another command in place of loading a module.
func (k Kernel) override(module string) (found string) {
	for _, dir := range []string{"etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"} {
		files, _ := fs.Glob(k.Root, dir+"/*.conf")
		for _, file := range files {
			_ = k.lines(file, func(line string) {
				words := strings.Fields(line)
				if len(words) > 2 && words[0] == "install" && moduleName(words[1]) == module {
					found = `"` + strings.Join(words, " ") + `" in /` + file
				}
			})
		}
	}
	return found
}

// lists reports whether a line of modules.dep or modules.builtin begins with the file of a module.
func (k Kernel) lists(file, module string) (found bool, err error) {
	err = k.lines(file, func(line string) {
		name, _, _ := strings.Cut(line, ":")
		name, _, ko := strings.Cut(path.Base(name), ".ko")
		found = found || ko && moduleName(name) == module
	})
	return found, err
}

// moduleName returns a name as /sys/module has it.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

func (k Kernel) exists(file string) bool {
	_, err := fs.Stat(k.Root, file)
	return err == nil
}

func (k Kernel) text(file string) string {
	text, _ := fs.ReadFile(k.Root, file) // the text of a missing file is empty
	return strings.Join(strings.Fields(string(text)), " ")
}

func (k Kernel) lines(file string, each func(string)) error {
	f, err := k.Root.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		each(lines.Text())
	}
	return lines.Err()
}
