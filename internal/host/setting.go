package host

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// SettingKind is the kind of a Setting.
type SettingKind string

// The kinds of settings, each with the fields that it uses.
const (
	Sysctl       SettingKind = "sysctl"  // Sysctl uses the field Name.
	HostAddress  SettingKind = "address" // HostAddress uses the fields IP, NIC and Scope.
	LinkUp       SettingKind = "link"    // LinkUp uses the field NIC.
	DefaultRoute SettingKind = "route"   // DefaultRoute uses the field IP for the gateway.
	// ARPTables uses IP, Name for the program, and Source for the rule of the output chain.
	ARPTables SettingKind = "arptables"
	NFTables  SettingKind = "nftables" // NFTables uses the fields IP and Source.
	// SyncDaemon uses Name for the role, master or backup, as ipvsadm spells it.
	SyncDaemon SettingKind = "sync"
	// Timeout uses Name for a timeout of IPVS: tcp, tcpfin or udp. The value is in seconds.
	Timeout SettingKind = "timeout"
	// NFTMarks uses Name for the nftables table, and IPTablesMarks uses Name for the chain. The
	// name contains the id of a resource.
	NFTMarks      SettingKind = "nftmarks"
	IPTablesMarks SettingKind = "iptablesmarks"
	// GUEPort uses Name for the UDP port that receives tunnels of type GUE. IP is the unspecified
	// address of the family of these tunnels: 0.0.0.0 or ::.
	GUEPort SettingKind = "gue"
)

// The values of settings that are on or off. The value of a sysctl is the text in its file, with
// single blanks. The value of a timeout is a number of seconds. The value of a synchronisation
// daemon is Off, or the options that ipvsadm --start-daemon gets. The value of marks is Off, the
// text of a Marks, or a text that says how the rules differ.
const (
	On  = "on"
	Off = "off"
)

// Setting is a setting of a host. Its value can be read, changed and restored. It is comparable.
// Fields that its kind does not use are zero.
type Setting struct {
	Kind SettingKind
	// Name is the path of a sysctl below /proc/sys, for example net/ipv4/conf/all/arp_ignore. The
	// comments of the kinds say what Name is for other settings.
	Name string
	NIC  string
	IP   netip.Addr
	// Source is the address of this host. An ARP rule replaces IP as the sender with it.
	Source netip.Addr
	Scope  string // Scope is the scope of an IPv4 address: global, link or host.
}

// Switch reports whether the setting can be Off.
func (s Setting) Switch() bool { return s.Kind != Sysctl && s.Kind != Timeout }

// Noun returns the setting as a text for messages.
func (s Setting) Noun() string {
	switch s.Kind {
	case SyncDaemon:
		return "the " + s.Name + " synchronisation daemon"
	case Timeout:
		return "the " + s.Name + " timeout of IPVS"
	case NFTMarks:
		return "nftables table inet " + s.Name
	case IPTablesMarks:
		return "iptables chain " + s.Name
	case GUEPort:
		return "the receiver of GUE on UDP port " + s.Name
	case Sysctl, HostAddress, LinkUp, DefaultRoute, ARPTables, NFTables:
	}
	return s.String()
}

// Exclusive reports whether only one resource can hold the setting.
func (s Setting) Exclusive() bool { return s.Kind == SyncDaemon }

// Named reports whether the name of the setting contains the id of its resource. Everything with
// this name then belongs to the resource.
func (s Setting) Named() bool { return s.Kind == NFTMarks || s.Kind == IPTablesMarks }

// Contradicts reports whether a setting with a value, and another setting with its value, give the
// same packets different marks.
func (s Setting) Contradicts(value string, other Setting, otherValue string) bool {
	if !s.Named() || !other.Named() {
		return false
	}
	a, err := ParseMarks(value)
	b, err2 := ParseMarks(otherValue)
	return errors.Join(err, err2) == nil && a.Mark != b.Mark && a.Overlaps(b)
}

// prefix returns the address with the prefix length of a single host.
func (s Setting) prefix() netip.Prefix { return netip.PrefixFrom(s.IP, s.IP.BitLen()) }

// Command returns a command that gives the setting a value.
func (s Setting) Command(value string) string {
	on := value == On
	switch s.Kind {
	case Sysctl:
		return fmt.Sprintf("sysctl -w %s=%s", s.Dotted(), value)
	case HostAddress:
		return s.addressCommand(on)
	case LinkUp:
		return fmt.Sprintf("ip link set dev %s %s", s.NIC, choose(on, "up", "down"))
	case DefaultRoute:
		return s.routeCommand(on)
	case ARPTables:
		return s.Name + " " + strings.Join(s.ARPRule(choose(on, "-I", "-D")), " ")
	case NFTables:
		return s.nftCommand(on)
	case SyncDaemon:
		if value == Off {
			return "ipvsadm --stop-daemon " + s.Name
		}
		return fmt.Sprintf("ipvsadm --start-daemon %s %s", s.Name, value)
	case Timeout:
		values := map[string]string{"tcp": "%s 0 0", "tcpfin": "0 %s 0", "udp": "0 0 %s"}
		return "ipvsadm --set " + fmt.Sprintf(values[s.Name], value)
	case NFTMarks, IPTablesMarks:
		return s.marksCommand(value)
	case GUEPort:
		return s.gueCommand(on)
	}
	return fmt.Sprintf("%s %q", s.Kind, value)
}

// gueCommand returns a command for a receiver of GUE. The kernel does not load the module fou on
// its own.
func (s Setting) gueCommand(add bool) string {
	ip := choose(s.IP.Is6(), "ip -6", "ip")
	if !add {
		return ip + " fou del port " + s.Name
	}
	return "modprobe fou && " + ip + " fou add port " + s.Name + " gue"
}

func (s Setting) addressCommand(add bool) string {
	command := fmt.Sprintf("ip addr %s %s dev %s", choose(add, "add", "del"), s.prefix(), s.NIC)
	switch {
	case add && s.IP.Is6():
		command += " preferred_lft 0 nodad"
	case add && s.Scope != "" && s.Scope != "global":
		command += " scope " + s.Scope
	}
	return command
}

// RouteMetric6 is the metric of the agent's IPv6 default routes. It is lower than 1024, the metric
// of a route that was added without a metric or learnt from a router.
const RouteMetric6 = 1

func (s Setting) routeCommand(add bool) string {
	if s.IP.Is6() {
		return fmt.Sprintf("ip -6 route %s default via %s metric %d", choose(add, "add", "del"), s.IP, RouteMetric6)
	}
	return fmt.Sprintf("ip route %s default via %s", choose(add, "prepend", "del"), s.IP)
}

// ARPRule returns the arguments of arptables that apply a verb (-I, -D) to the rule.
func (s Setting) ARPRule(verb string) []string {
	if s.Source.IsValid() {
		return []string{verb, "OUTPUT", "-s", s.IP.String(), "-j", "mangle", "--mangle-ip-s", s.Source.String()}
	}
	return []string{verb, "INPUT", "-d", s.IP.String(), "-j", "DROP"}
}

// Table returns the name of the nftables table with the rules for the address. The table has the
// family arp.
func (s Setting) Table() string { return "lvs-" + s.IP.String() }

func (s Setting) nftCommand(add bool) string {
	if !add {
		return "nft delete table arp " + s.Table()
	}
	return fmt.Sprintf("nft 'table arp %s { chain input { type filter hook input priority 0; arp daddr ip %[2]s drop; }; chain output { type filter hook output priority 0; arp saddr ip %[2]s arp saddr ip set %[3]s; }; }'",
		s.Table(), s.IP, s.Source)
}

func (s Setting) marksCommand(value string) string {
	m, err := ParseMarks(value)
	switch {
	case err != nil && s.Kind == NFTMarks:
		return "nft delete table inet " + s.Name
	case err != nil:
		return fmt.Sprintf("iptables-legacy -t mangle -D PREROUTING -j %s && iptables-legacy -t mangle -F %[1]s && iptables-legacy -t mangle -X %[1]s", s.Name)
	case s.Kind == NFTMarks:
		return "nft '" + m.nftTable(s.Name) + "'"
	}
	return m.iptablesCommand(s.Name)
}

func choose(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// Dotted returns a sysctl's name in the spelling of sysctl(8), which exchanges dots and slashes:
// net.ipv4.conf.eth0/100.arp_ignore.
func (s Setting) Dotted() string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '/':
			return '.'
		case '.':
			return '/'
		}
		return r
	}, s.Name)
}

// enough has, for some sysctls, all values that do what the agent needs.
var enough = map[string][]string{
	"net/ipv4/conf/all/arp_ignore": {"1", "2"}, // Documentation/networking/ip-sysctl.rst
}

// Same reports whether a value that was read is the value that was set. The kernel reports the
// length of the datagrams of a synchronisation daemon even if nothing set it.
func (s Setting) Same(value, set string) bool {
	if s.Kind == SyncDaemon && !strings.Contains(set, syncMaxLen) {
		words := strings.Fields(value)
		if i := slices.Index(words, syncMaxLen); i >= 0 && i+1 < len(words) {
			value = strings.Join(slices.Delete(words, i, i+2), " ")
		}
	}
	return value == set
}

const syncMaxLen = "--sync-maxlen"

// Fits reports whether a value does what the resource needs: it is the wanted value, or one that is
// as good for the agent.
func (s Setting) Fits(value, want string) bool {
	return s.Same(value, want) || s.Kind == Sysctl && slices.Contains(enough[s.Name], want) && slices.Contains(enough[s.Name], value)
}

// String returns the setting as a text that ParseSetting parses.
func (s Setting) String() string {
	words := []string{string(s.Kind)}
	add := func(name, value string) {
		if value != "" {
			words = append(words, name+"="+value)
		}
	}
	add("name", s.Name)
	add("nic", s.NIC)
	if s.IP.IsValid() {
		add("ip", s.IP.String())
	}
	if s.Source.IsValid() {
		add("source", s.Source.String())
	}
	add("scope", s.Scope)
	return strings.Join(words, " ")
}

// ParseSetting parses the text of String.
func ParseSetting(text string) (Setting, error) {
	words := strings.Split(text, " ")
	s := Setting{Kind: SettingKind(words[0])}
	for _, word := range words[1:] {
		name, value, ok := strings.Cut(word, "=")
		var err error
		switch name {
		case "name":
			s.Name = value
		case "nic":
			s.NIC = value
		case "ip":
			s.IP, err = netip.ParseAddr(value)
		case "source":
			s.Source, err = netip.ParseAddr(value)
		case "scope":
			s.Scope = value
		default:
			ok = false
		}
		if !ok || err != nil {
			return s, fmt.Errorf("setting %q: %q is not understood", text, word)
		}
	}
	return s, s.check(text)
}

// check returns an error if a field that the kind needs is missing or wrong. The name of a sysctl
// must not leave /proc/sys, because the text comes from a file.
func (s Setting) check(text string) error {
	ok := false
	switch s.Kind {
	case Sysctl:
		ok = strings.HasPrefix(s.Name, "net/") && !strings.Contains(s.Name, "..")
	case HostAddress:
		ok = s.IP.IsValid() && s.NIC != ""
	case LinkUp:
		ok = s.NIC != ""
	case DefaultRoute:
		ok = s.IP.IsValid()
	case ARPTables:
		ok = s.IP.Is4() && slices.Contains(ARPTablesPrograms, s.Name)
	case NFTables:
		ok = s.IP.Is4() && s.Source.Is4()
	case SyncDaemon:
		ok = s.Name == "master" || s.Name == "backup"
	case Timeout:
		ok = s.Name == "tcp" || s.Name == "tcpfin" || s.Name == "udp"
	case NFTMarks, IPTablesMarks:
		ok = s.Name != ""
	case GUEPort:
		port, err := strconv.ParseUint(s.Name, 10, 16)
		ok = err == nil && port > 0 && s.IP.IsUnspecified()
	}
	if !ok {
		return fmt.Errorf("setting %q: %w", text, errIncomplete)
	}
	return nil
}

var errIncomplete = errors.New("it is not complete")

// ARPTablesPrograms are the programs that an ARPTables setting can name, in order of preference.
var ARPTablesPrograms = []string{"arptables", "arptables-legacy"}
