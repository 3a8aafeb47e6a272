package lvs

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// SyncRole is what a synchronisation daemon of the kernel does. The zero value is invalid.
type SyncRole uint8

// The roles, with the numbers of include/uapi/linux/ip_vs.h. A network namespace has at
// most one daemon of each.
const (
	// SyncMaster: the daemon sends its connections to the multicast group.
	SyncMaster SyncRole = iota + 1
	// SyncBackup: the daemon receives the connections of other directors.
	SyncBackup
)

// String returns ipvsadm's word.
func (r SyncRole) String() string {
	switch r {
	case SyncMaster:
		return "master"
	case SyncBackup:
		return "backup"
	}
	return "?"
}

// SyncDaemon is a synchronisation daemon of the kernel. A zero Group, Port, TTL or MaxLen is
// the kernel's own value (net/netfilter/ipvs/ip_vs_sync.c, start_sync_thread).
type SyncDaemon struct {
	Role      SyncRole
	Interface string
	// ID is the id of the pair of directors. A backup with id 0 receives messages of every id.
	ID uint8
	// Group is the multicast address of the datagrams. An invalid Addr means 224.0.0.81.
	Group netip.Addr
	Port  uint16 // Port is the UDP port. Zero means 8848.
	TTL   uint8  // TTL is the number of hops that a datagram can take. Zero means 1.
	// MaxLen is the longest message of the daemon in bytes. With zero, a master daemon fills
	// packets of 1500 bytes, and a backup daemon receives at least these.
	MaxLen uint16
}

// The kernel's own values.
const (
	SyncPort = 8848
	SyncTTL  = 1
)

// SyncGroup is the multicast group of the kernel.
var SyncGroup = netip.AddrFrom4([4]byte{224, 0, 0, 81})

// Equal reports whether two daemons do the same. A MaxLen of zero equals every other MaxLen: for
// zero, the kernel chooses a length and then reports it.
func (d SyncDaemon) Equal(o SyncDaemon) bool {
	if d.MaxLen == 0 || o.MaxLen == 0 {
		d.MaxLen, o.MaxLen = 0, 0
	}
	return d.Complete() == o.Complete()
}

// Complete returns the daemon with the kernel's own values in place of zeros, except for MaxLen.
func (d SyncDaemon) Complete() SyncDaemon {
	if !d.Group.IsValid() {
		d.Group = SyncGroup
	}
	d.Port, d.TTL = cmp.Or(d.Port, SyncPort), cmp.Or(d.TTL, SyncTTL)
	return d
}

// String returns the role and the options that ipvsadm --start-daemon gets.
func (d SyncDaemon) String() string {
	d = d.Complete()
	text := fmt.Sprintf("%s --mcast-interface %s --syncid %d", d.Role, d.Interface, d.ID)
	if d.MaxLen != 0 {
		text += fmt.Sprintf(" --sync-maxlen %d", d.MaxLen)
	}
	if d.Group != SyncGroup {
		text += " --mcast-group " + d.Group.String()
	}
	if d.Port != SyncPort {
		text += fmt.Sprintf(" --mcast-port %d", d.Port)
	}
	if d.TTL != SyncTTL {
		text += fmt.Sprintf(" --mcast-ttl %d", d.TTL)
	}
	return text
}

// SyncTable is the name of the nftables table of SyncFilter.
const SyncTable = "lvs-sync"

// SyncFilter returns an nft command that drops the datagrams for a daemon and its ports, unless one
// of the peers has sent them. peers are addresses, separated by commas.
func SyncFilter(d SyncDaemon, ports int, peers string) string {
	d = d.Complete()
	family, last := "ip", int(d.Port)+ports-1
	if d.Group.Is6() {
		family = "ip6"
	}
	port := strconv.Itoa(int(d.Port))
	if ports > 1 {
		port += "-" + strconv.Itoa(last)
	}
	return fmt.Sprintf("nft 'table %[2]s %[6]s { chain input { type filter hook input priority 0; iifname %[1]s %[2]s daddr %[3]s udp dport %[4]s %[2]s saddr != { %[5]s } drop; }; }'",
		d.Interface, family, d.Group, port, peers, SyncTable)
}

// ParseSyncDaemon parses the text that SyncDaemon.String returns.
func ParseSyncDaemon(text string) (SyncDaemon, error) {
	words := strings.Fields(text)
	wrong := func(what string) (SyncDaemon, error) {
		return SyncDaemon{}, fmt.Errorf("synchronisation daemon %q: %s", text, what)
	}
	if len(words)%2 == 0 {
		return wrong("not a role with options and their values")
	}
	var d SyncDaemon
	switch words[0] {
	case "master":
		d.Role = SyncMaster
	case "backup":
		d.Role = SyncBackup
	default:
		return wrong("the role is not master or backup")
	}
	for i := 1; i < len(words); i += 2 {
		if err := d.set(words[i], words[i+1]); err != nil {
			return wrong(err.Error())
		}
	}
	if d.Interface == "" {
		return wrong("no --mcast-interface")
	}
	return d.Complete(), nil
}

func (d *SyncDaemon) set(option, value string) error {
	bits := 16
	switch option {
	case "--mcast-interface":
		d.Interface = value
		return nil
	case "--mcast-group":
		group, err := netip.ParseAddr(value)
		d.Group = group
		return err
	case "--syncid", "--mcast-ttl":
		bits = 8
	case "--mcast-port", "--sync-maxlen":
	default:
		return fmt.Errorf("unknown option %s", option)
	}
	number, err := strconv.ParseUint(value, 10, bits)
	if err != nil {
		return fmt.Errorf("%s %s: not a number of %d bits", option, value, bits)
	}
	switch option {
	case "--syncid":
		d.ID = uint8(number)
	case "--mcast-ttl":
		d.TTL = uint8(number)
	case "--mcast-port":
		d.Port = uint16(number)
	case "--sync-maxlen":
		d.MaxLen = uint16(number)
	}
	return nil
}

// SyncSender is a host that sends connections to the group of a backup daemon.
type SyncSender struct {
	Addr    netip.Addr
	ID      uint8 // ID is the syncid of its datagrams.
	Version uint8 // Version is the version of its datagrams: 0 or 1.
}
