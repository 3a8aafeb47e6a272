// Package lvs holds the nouns of Linux Virtual Server and the planner that
// turns one IPVS table into another. Values and pure functions only: nothing
// here talks to a kernel.
package lvs

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

// Protocol is the transport protocol of a virtual service, by its IANA number.
// The zero value belongs to services that are selected by a firewall mark.
type Protocol uint8

// The protocols that IPVS balances and that this package accepts.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

var protocols = map[Protocol]struct{ name, option string }{
	TCP: {"tcp", "-t"}, UDP: {"udp", "-u"}, SCTP: {"sctp", "--sctp-service"},
}

// String returns the lower-case name, "tcp" for example.
func (p Protocol) String() string {
	if known, ok := protocols[p]; ok {
		return known.name
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// ServiceID is what makes a virtual service different from all others in one
// network namespace: protocol, address and port, or a firewall mark with its
// address family. Build it with AddrService or MarkService; it is comparable.
type ServiceID struct {
	Protocol Protocol       // zero for a mark
	Addr     netip.AddrPort // zero for a mark; port 0 is every port
	Mark     uint32         // zero for an address
	IPv6     bool           // family of the destinations of a mark; false with an address
}

// AddrService is the identity of a service at an address and port.
func AddrService(p Protocol, addr netip.AddrPort) ServiceID {
	return ServiceID{Protocol: p, Addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())}
}

// MarkService is the identity of a service for packets with a firewall mark.
// IPv4 and IPv6 packets with one mark are two services.
func MarkService(mark uint32, ipv6 bool) ServiceID { return ServiceID{Mark: mark, IPv6: ipv6} }

// IsMark tells whether packets are selected by a firewall mark.
func (id ServiceID) IsMark() bool { return id.Mark != 0 }

// Is6 tells whether the destinations of the service are IPv6 addresses.
func (id ServiceID) Is6() bool {
	if id.IsMark() {
		return id.IPv6
	}
	return id.Addr.Addr().Is6()
}

// String returns the service in ipvsadm syntax, "-t 192.0.2.10:80" or "-f 5 -6".
func (id ServiceID) String() string {
	switch {
	case id.IsMark() && id.IPv6:
		return fmt.Sprintf("-f %d -6", id.Mark)
	case id.IsMark():
		return fmt.Sprintf("-f %d", id.Mark)
	}
	option := protocols[id.Protocol].option
	if option == "" {
		option = "-?"
	}
	return option + " " + id.Addr.String()
}

// Compare orders identities: addresses before marks, then by value.
func (id ServiceID) Compare(other ServiceID) int {
	return cmp.Or(
		cmp.Compare(id.Mark, other.Mark),
		id.Addr.Compare(other.Addr),
		cmp.Compare(id.Protocol, other.Protocol),
		cmp.Compare(bit(id.IPv6), bit(other.IPv6)),
	)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Forward is the packet forwarding method of a destination. The zero value is
// no method; parse or choose one.
type Forward uint8

// The forwarding methods, in the order of the kernel's numbers.
const (
	Masq   Forward = iota + 1 // network address translation, ipvsadm -m
	Local                     // the director itself; chosen by the kernel for its own addresses
	Tunnel                    // IP-in-IP encapsulation, ipvsadm -i
	Route                     // direct routing, ipvsadm -g
	Bypass                    // straight to the original destination (kernel-internal)
)

// ParseForward reads ldirectord's words gate, masq and ipip.
func ParseForward(word string) (Forward, error) {
	switch word {
	case "gate":
		return Route, nil
	case "masq":
		return Masq, nil
	case "ipip":
		return Tunnel, nil
	}
	return 0, fmt.Errorf("unknown forwarding method %q; use gate (direct routing), masq (NAT) or ipip (tunnel)", word)
}

// String returns the option of ipvsadm: -m, -i or -g. A local destination has
// none of its own and is written as -g.
func (f Forward) String() string {
	switch f {
	case Masq:
		return "-m"
	case Tunnel:
		return "-i"
	case Local, Route, Bypass:
		return "-g"
	}
	return "-?"
}

// RewritesPort tells whether a destination may use another port than its
// service. Only NAT changes the packet (net/netfilter/ipvs/ip_vs_xmit.c).
func (f Forward) RewritesPort() bool { return f == Masq }

// Scheduler is the name of an IPVS scheduler. Parse it; it is then one that the
// kernel's source has, though not necessarily one that this kernel was built with.
type Scheduler string

// DefaultScheduler is ldirectord's, so that its files keep their meaning;
// ipvsadm's is wlc.
const DefaultScheduler Scheduler = "wrr"

// Schedulers lists the schedulers of Linux 6.x, net/netfilter/ipvs/ip_vs_*.c.
func Schedulers() []string {
	return []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"}
}

// ParseScheduler accepts the names that Schedulers lists.
func ParseScheduler(name string) (Scheduler, error) {
	if !slices.Contains(Schedulers(), name) {
		return "", fmt.Errorf("unknown scheduler %q", name)
	}
	return Scheduler(name), nil
}

// Hashes reports whether the scheduler chooses by a hash table that the kernel
// fills in the order of the destinations (ip_vs_mh.c, ip_vs_sh.c, ip_vs_dh.c).
// Two directors choose the same real server only if both have them in one order.
func (s Scheduler) Hashes() bool { return s == "mh" || s == "sh" || s == "dh" }

// Flags are the options of a service that an administrator chooses.
type Flags uint32

// Values of include/uapi/linux/ip_vs.h. Persistence is a field of Service and
// the kernel's own HASHED bit is not ours, so neither is listed.
const (
	OnePacket Flags = 0x0004 // UDP without connection entries, ipvsadm -o
	SchedOne  Flags = 0x0008 // scheduler's first flag, ipvsadm -b flag-1
	SchedTwo  Flags = 0x0010
	SchedTri  Flags = 0x0020
)

// Service is a virtual service without its real servers.
type Service struct {
	ID        ServiceID
	Scheduler Scheduler
	Flags     Flags
	// Persistence is how long a client stays with a real server: whole
	// seconds, zero for none.
	Persistence time.Duration
	// Granularity is the prefix length of the client network that persists
	// together. Zero is a single address (/32 or /128). Without Persistence
	// it has no effect and is not compared.
	Granularity int
}

// Destination is the entry of one real server in one virtual service.
type Destination struct {
	Addr    netip.AddrPort
	Forward Forward
	Weight  int // 0 to MaxWeight; 0 takes no new connections
	// HashWeight is the weight with which a destination of weight 0 is added
	// where the scheduler hashes, so that it keeps its slots of the table. 0
	// adds it without slots. It counts only while Weight is 0.
	HashWeight int
	Upper      uint32 // connections above which it gets no new ones, 0 for no limit
	Lower      uint32 // connections below which it is used again, 0 for 3/4 of Upper
}

// MaxWeight is the largest weight that can be compared: moby/ipvs v1.1.0 reads
// weights back as 16 bits.
const MaxWeight = math.MaxUint16

// VirtualService is a service with its real servers, in the order in which
// they were configured. In a table of the kernel they are in the order of their
// addresses.
type VirtualService struct {
	Service
	Destinations []Destination
	// Order is the addresses in the order in which the destinations were added,
	// for a service of the kernel whose scheduler hashes. It is nil for every other
	// service, and empty for one without destinations. It is not compared.
	Order []netip.AddrPort
}

// Read returns a service as it is in a table of the kernel. Its destinations are
// in the order in which they were added; one that is there twice is returned once.
func (v VirtualService) Read() VirtualService {
	v.Order = nil
	if v.Scheduler.Hashes() {
		v.Order = make([]netip.AddrPort, 0, len(v.Destinations))
		seen := make(map[netip.AddrPort]bool, len(v.Destinations))
		for _, d := range v.Destinations {
			if !seen[d.Addr] {
				seen[d.Addr], v.Order = true, append(v.Order, d.Addr)
			}
		}
	}
	v.Destinations = slices.SortedFunc(slices.Values(v.Destinations), byAddr)
	v.Destinations = slices.CompactFunc(v.Destinations, func(a, b Destination) bool { return a.Addr == b.Addr })
	return v
}

func byAddr(a, b Destination) int { return a.Addr.Compare(b.Addr) }

// Table is the services of one network namespace, or those that somebody wants
// there. The zero value is an empty table.
type Table []VirtualService

// Lookup returns the service with an identity.
func (t Table) Lookup(id ServiceID) (VirtualService, bool) {
	i := slices.IndexFunc(t, func(v VirtualService) bool { return v.ID == id })
	if i < 0 {
		return VirtualService{}, false
	}
	return t[i], true
}

// Index is where in the table each service is; of one that is there twice, the first.
func (t Table) Index() map[ServiceID]int {
	index := make(map[ServiceID]int, len(t))
	for i, v := range slices.Backward(t) {
		index[v.ID] = i
	}
	return index
}

// IDs returns the identities of all services, in table order.
func (t Table) IDs() []ServiceID {
	ids := make([]ServiceID, 0, len(t))
	for _, v := range t {
		ids = append(ids, v.ID)
	}
	return ids
}

// Serves reports whether a new connection gets a destination.
func (v VirtualService) Serves() bool {
	for _, d := range v.Destinations {
		if d.Weight > 0 {
			return true
		}
	}
	return false
}

// Only returns the services of t that scope holds.
func (t Table) Only(scope Scope) Table {
	var only Table
	for _, v := range t {
		if scope[v.ID] {
			only = append(only, v)
		}
	}
	return only
}

// Yield returns t with the destinations that have holds for the services of
// scope: somebody else decides about those. A service that have lacks keeps its own.
func (t Table) Yield(have Table, scope Scope) Table {
	yielded, held := slices.Clone(t), have.Index()
	for i, v := range yielded {
		if at, exists := held[v.ID]; exists && scope[v.ID] {
			yielded[i].Destinations = have[at].Destinations
		}
	}
	return yielded
}

// Unordered returns t without the order in which the destinations of services in scope
// were added. A plan from there leaves their order as it is.
func (t Table) Unordered(scope Scope) Table {
	unordered := slices.Clone(t)
	for i, v := range unordered {
		if scope[v.ID] {
			unordered[i].Order = nil
		}
	}
	return unordered
}

// Validate reports every reason for which the kernel would refuse the table or
// take it and do something else than it says.
func (t Table) Validate() error {
	var errs []error
	seen := map[ServiceID]bool{}
	for _, v := range t {
		if seen[v.ID] {
			errs = append(errs, fmt.Errorf("virtual service %s: given twice", v.ID))
		}
		seen[v.ID] = true
		errs = append(errs, v.Validate())
	}
	return errors.Join(errs...)
}

// Validate reports what is wrong with a service or its destinations.
func (v VirtualService) Validate() error {
	errs := []error{v.check(), v.checkHash()}
	seen := map[netip.AddrPort]bool{}
	for _, d := range v.Destinations {
		if seen[d.Addr] {
			errs = append(errs, fmt.Errorf("real server %s: given twice", d.Addr))
		}
		seen[d.Addr] = true
		if err := d.validate(v.ID); err != nil {
			errs = append(errs, fmt.Errorf("real server %s: %w", d.Addr, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("virtual service %s: %w", v.ID, err)
	}
	return nil
}

func (s Service) check() error {
	bits := 32
	if s.ID.Is6() {
		bits = 128
	}
	switch {
	case !s.ID.IsMark() && !s.ID.Addr.Addr().IsValid():
		return errors.New("no address and no firewall mark")
	case !s.ID.IsMark() && protocols[s.ID.Protocol].name == "":
		return fmt.Errorf("%s is not balanced by IPVS; use tcp, udp or sctp", s.ID.Protocol)
	case s.Scheduler == "":
		return errors.New("no scheduler")
	case s.Persistence < 0 || s.Persistence%time.Second != 0:
		return fmt.Errorf("persistence %s is not a number of seconds", s.Persistence)
	case s.Persistence > MaxPersistence:
		return fmt.Errorf("persistence %s is longer than %s", s.Persistence, MaxPersistence)
	case s.Granularity < 0 || s.Granularity > bits:
		return fmt.Errorf("persistence granularity /%d is not between /1 and /%d", s.Granularity, bits)
	case !s.ID.IsMark() && s.ID.Addr.Port() == 0 && s.Persistence == 0:
		return errors.New("port 0 (every port) needs persistence")
	}
	return nil
}

// maxHashed is how many slots the table of mh has (ip_vs_mh.c, IP_VS_MH_TAB_SIZE
// with CONFIG_IP_VS_MH_TAB_INDEX=12), and so how many destinations.
const maxHashed = 4093

// checkHash reports more destinations than the table of scheduler mh has slots for.
func (v VirtualService) checkHash() error {
	if v.Scheduler != "mh" {
		return nil
	}
	if n := len(v.Destinations); n > maxHashed {
		return fmt.Errorf("scheduler mh balances %d real servers at most, not %d; use another scheduler or several services", maxHashed, n)
	}
	return nil
}

// MaxPersistence is ipvsadm's limit, 31 days (ipvsadm.c, MAX_TIMEOUT).
const MaxPersistence = 31 * 24 * time.Hour

func (d Destination) validate(id ServiceID) error {
	switch {
	case !d.Addr.Addr().IsValid():
		return errors.New("no address")
	case d.Addr.Addr().Is6() != id.Is6():
		return errors.New("its address family differs from the service's")
	case d.Forward != Masq && d.Forward != Tunnel && d.Forward != Route && d.Forward != Local:
		return errors.New("no forwarding method; use gate, masq or ipip")
	case d.Weight < 0 || d.Weight > MaxWeight:
		return fmt.Errorf("weight %d is not between 0 and %d", d.Weight, MaxWeight)
	case d.Upper != 0 && d.Lower > d.Upper:
		return fmt.Errorf("lower threshold %d is above the upper threshold %d", d.Lower, d.Upper)
	case d.Upper == 0 && d.Lower != 0:
		return fmt.Errorf("lower threshold %d has no upper threshold", d.Lower)
	case !id.IsMark() && !d.Forward.RewritesPort() && d.Addr.Port() != id.Addr.Port():
		return fmt.Errorf("direct routing and tunnels cannot change the port: it is %d here and %d in the service; use the same port or masq",
			d.Addr.Port(), id.Addr.Port())
	}
	return nil
}
