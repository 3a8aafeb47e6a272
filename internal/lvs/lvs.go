// Package lvs holds the types of Linux Virtual Server, and the planner that turns one IPVS table
// into another. It has only values and pure functions; it does not use the kernel.
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

// ServiceID identifies a virtual service in a network namespace: by protocol, address and port, or
// by a firewall mark with its address family. AddrService and MarkService make it. It is
// comparable.
type ServiceID struct {
	Protocol Protocol       // Protocol is zero for a firewall mark.
	Addr     netip.AddrPort // Addr is zero for a firewall mark. Port 0 means every port.
	Mark     uint32         // Mark is the firewall mark. It is zero for a service with an address.
	// IPv6 says that the service of a mark balances IPv6 packets. It is false with an address.
	IPv6 bool
}

// AddrService returns the identity of a service at an address and port.
func AddrService(p Protocol, addr netip.AddrPort) ServiceID {
	return ServiceID{Protocol: p, Addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())}
}

// MarkService returns the identity of a service for packets with a firewall mark. IPv4 and IPv6
// packets with the same mark belong to two services.
func MarkService(mark uint32, ipv6 bool) ServiceID { return ServiceID{Mark: mark, IPv6: ipv6} }

// IsMark reports whether a firewall mark selects the packets of the service.
func (id ServiceID) IsMark() bool { return id.Mark != 0 }

// Is6 reports whether the service balances IPv6 packets. With the forwarding method tunnel, a
// destination can have an address of the other family.
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

// Forward is the forwarding method of a destination. The zero value is not a method.
type Forward uint8

// The forwarding methods, in the order of the kernel's numbers.
const (
	Masq Forward = iota + 1 // Masq: network address translation, ipvsadm -m.
	// Local: the director itself. The kernel sets this method for the director's own addresses.
	Local
	Tunnel // Tunnel: encapsulation, ipvsadm -i.
	Route  // Route: direct routing, ipvsadm -g.
	// Bypass: the original destination of the packet. Only the kernel itself uses this method.
	Bypass
)

// ParseForward returns the forwarding method for a word of ldirectord.cf: gate, masq or ipip. The
// words gue and gre are other tunnels. GUE gets its usual port.
func ParseForward(word string) (Forward, Encapsulation, error) {
	switch word {
	case "gate":
		return Route, Encapsulation{}, nil
	case "masq":
		return Masq, Encapsulation{}, nil
	case "ipip":
		return Tunnel, Encapsulation{}, nil
	case "gue":
		return Tunnel, Encapsulation{Type: GUE, Port: GUEPort}, nil
	case "gre":
		return Tunnel, Encapsulation{Type: GRE}, nil
	}
	return 0, Encapsulation{}, fmt.Errorf("unknown forwarding method %q; use gate (direct routing), masq (NAT), or a tunnel: ipip, gue or gre", word)
}

// String returns the option of ipvsadm: -m, -i or -g. ipvsadm has no option for a local destination
// and for Bypass; String returns -g for them. For a value that is not a method, it returns -?.
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

// RewritesPort reports whether a destination can use another port than its service. Only
// masquerading changes the packet (net/netfilter/ipvs/ip_vs_xmit.c).
func (f Forward) RewritesPort() bool { return f == Masq }

// Scheduler is the name of an IPVS scheduler. ParseScheduler accepts the schedulers in the source
// of the kernel. The running kernel can lack some of them.
type Scheduler string

// DefaultScheduler is the default scheduler of ldirectord, so that its files keep their meaning.
// The default of ipvsadm is wlc.
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

// Hashes reports whether the scheduler uses a hash table that the kernel fills in the order of the
// destinations (ip_vs_mh.c, ip_vs_sh.c, ip_vs_dh.c). Two directors choose the same real server only
// if both have the destinations in the same order.
func (s Scheduler) Hashes() bool { return s == "mh" || s == "sh" || s == "dh" }

// IgnoresWeights reports whether all weights above 0 have the same effect (ip_vs_rr.c, ip_vs_lc.c,
// ip_vs_dh.c).
func (s Scheduler) IgnoresWeights() bool { return s == "rr" || s == "lc" || s == "dh" }

// KeepsSlots reports whether a destination with weight 0 keeps the slots of its last weight above 0
// (ip_vs_mh.c, last_weight). With sh it has one slot, as with weight 1 (ip_vs_sh.c,
// ip_vs_sh_reassign). With dh every destination has one slot.
func (s Scheduler) KeepsSlots() bool { return s == "mh" }

// Fallback returns the flag sh-fallback or mh-fallback of the scheduler, or 0 if the scheduler has
// no such flag. With the flag, a client whose destination has weight 0 gets another destination.
// Without the flag, the kernel refuses the client (ip_vs_mh.c, ip_vs_mh_get).
func (s Scheduler) Fallback() Flags {
	if s == "mh" || s == "sh" {
		return SchedOne
	}
	return 0
}

// Flags are the options of a service that an administrator chooses.
type Flags uint32

// Values of include/uapi/linux/ip_vs.h. Two flags are missing here: persistence is a field of
// Service, and only the kernel sets HASHED.
const (
	// OnePacket: each UDP packet is balanced on its own, without a connection entry (ipvsadm -o).
	OnePacket Flags = 0x0004
	SchedOne  Flags = 0x0008 // SchedOne: the first flag of the scheduler (ipvsadm -b flag-1).
	SchedTwo  Flags = 0x0010
	SchedTri  Flags = 0x0020
)

// Service is a virtual service without its real servers.
type Service struct {
	ID        ServiceID
	Scheduler Scheduler
	Flags     Flags
	// Persistence is how long a client stays with a real server, in whole seconds. Zero means no
	// persistence.
	Persistence time.Duration
	// Granularity is the prefix length of a client network. All clients of one network stay with the
	// same real server. Zero means a single address (/32 or /128). Without Persistence it has no
	// effect and is not compared.
	Granularity int
	// Engine is the persistence engine. It reads the identity of a client from the packet. Empty
	// means that the address identifies a client. Without Persistence it has no effect.
	Engine Engine
}

// Engine is the name of a persistence engine. The kernel has one engine.
type Engine string

// SIP identifies a client by the Call-ID of SIP over UDP (net/netfilter/ipvs/ip_vs_pe_sip.c).
const SIP Engine = "sip"

// ParseEngine returns the engine with a name.
func ParseEngine(name string) (Engine, error) {
	if Engine(name) != SIP {
		return "", fmt.Errorf("unknown persistence engine %q; use sip", name)
	}
	return SIP, nil
}

// FallsBack reports whether the service has the flag that Scheduler.Fallback returns.
func (s Service) FallsBack() bool { return s.Flags&s.Scheduler.Fallback() != 0 }

// Destination is the entry of one real server in one virtual service.
type Destination struct {
	Addr    netip.AddrPort
	Forward Forward
	// Encapsulation is for the method Tunnel. With other methods it is zero.
	Encapsulation Encapsulation
	Weight        int // Weight is 0 to MaxWeight. The scheduler does not choose a destination with weight 0.
	// Upper: with this number of connections, the destination gets no new ones. 0 means no limit.
	Upper uint32
	// Lower: with fewer connections, the destination gets new ones again. 0 means 3/4 of Upper.
	Lower uint32

	// HashWeight decides the slots of a destination with Weight 0 in a service with
	// Scheduler.KeepsSlots. A plan sets this weight before it sets weight 0. With 0, a plan does
	// not set the slots.
	HashWeight int
	// Last puts the destination after all others in a service whose scheduler hashes.
	Last bool
}

// MaxWeight is ipvsadm's limit of a weight (ipvsadm.c, string_to_number of -w).
const MaxWeight = math.MaxUint16

// MaxThreshold is the limit that ipvsadm and newer kernels have for thresholds of connections
// (docs/kernel-matrix.md). Linux 6.1 stores larger ones.
const MaxThreshold = math.MaxInt32

// VirtualService is a service with its real servers. In a configuration, they have the order of the
// file. In a table of the kernel, they are sorted by address.
type VirtualService struct {
	Service
	Destinations []Destination
	// Order has the addresses of the destinations in the order of their addition. It is set for a
	// service of the kernel whose scheduler hashes; for a service without destinations it is empty.
	// For every other service it is nil. It is not compared.
	Order []netip.AddrPort
}

// Read returns the service as the kernel would return it. The destinations of v are in the order of
// their addition. If v has a destination twice, Read returns it once.
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

// Table holds the services of a network namespace, or the services that a configuration wants
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

// Index returns the position of each service in the table. For a service that is there twice, it
// returns the first position.
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

// Serves reports whether the service has a destination for new connections.
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

// Yield returns t with the destinations of have in the services of scope: another owner sets those
// destinations. A service that is not in have keeps its destinations of t.
func (t Table) Yield(have Table, scope Scope) Table {
	yielded, held := slices.Clone(t), have.Index()
	for i, v := range yielded {
		if at, exists := held[v.ID]; exists && scope[v.ID] {
			yielded[i].Destinations = have[at].Destinations
		}
	}
	return yielded
}

// Unordered returns t without the Order of the services in scope. A plan from the result does not
// change the order of their destinations.
func (t Table) Unordered(scope Scope) Table {
	unordered := slices.Clone(t)
	for i, v := range unordered {
		if scope[v.ID] {
			unordered[i].Order = nil
		}
	}
	return unordered
}

// TrustOrder returns t without the Order of the services that lack a destination of want. A dump of
// the kernel can miss a destination that exists. A plan from this dump would delete every
// destination after the gap and add it again. So a caller that plans until no operation is left
// uses TrustOrder: the first plan adds what the dump lacks, and a later plan repairs the order.
func (t Table) TrustOrder(want Table) Table {
	held, gaps := t.Index(), Scope{}
	for _, w := range want {
		at, exists := held[w.ID]
		if !exists || t[at].Order == nil {
			continue
		}
		there := make(map[netip.AddrPort]bool, len(t[at].Order))
		for _, addr := range t[at].Order {
			there[addr] = true
		}
		gaps[w.ID] = slices.ContainsFunc(w.Destinations, func(d Destination) bool { return !there[d.Addr] })
	}
	return t.Unordered(gaps)
}

// Validate returns an error if the kernel would refuse the table, or accept it and do something
// else. The error names at least one fault of each faulty service.
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

// Validate returns the faults of a service and its destinations.
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
	case s.ID.Addr.Addr().Zone() != "":
		return errors.New("an address with a zone; leave out % and the text after it, because IPVS has no zones")
	case !s.ID.IsMark() && protocols[s.ID.Protocol].name == "":
		return fmt.Errorf("%s is not balanced by IPVS; use tcp, udp or sctp", s.ID.Protocol)
	case s.Scheduler == "":
		return errors.New("no scheduler")
	case !slices.Contains(Schedulers(), string(s.Scheduler)):
		return fmt.Errorf("unknown scheduler %q", s.Scheduler)
	case s.Persistence < 0 || s.Persistence%time.Second != 0:
		return fmt.Errorf("persistence %s is not a number of seconds", s.Persistence)
	case s.Persistence > MaxPersistence:
		return fmt.Errorf("persistence %s is longer than %s", s.Persistence, MaxPersistence)
	case s.Granularity < 0 || s.Granularity > bits:
		return fmt.Errorf("persistence granularity /%d is not between /1 and /%d", s.Granularity, bits)
	case !s.ID.IsMark() && s.ID.Addr.Port() == 0 && s.Persistence == 0:
		return errors.New("port 0 (every port) needs persistence")
	case s.Flags&OnePacket != 0 && !s.canBeUDP():
		return fmt.Errorf("one-packet scheduling has no effect for %s; use udp or a firewall mark", s.ID.Protocol)
	case s.Engine != "" && s.Engine != SIP:
		return fmt.Errorf("unknown persistence engine %q; use sip", s.Engine)
	case s.Engine != "" && s.Persistence == 0:
		return fmt.Errorf("persistence engine %s has no effect without persistence; set persistent", s.Engine)
	case s.Engine == SIP && !s.canBeUDP():
		return fmt.Errorf("persistence engine sip has no effect for %s; use udp or a firewall mark", s.ID.Protocol)
	}
	return nil
}

// canBeUDP reports whether the service can have UDP packets.
func (s Service) canBeUDP() bool { return s.ID.IsMark() || s.ID.Protocol == UDP }

// maxHashed is the number of slots in the hash table of mh (ip_vs_mh.c, IP_VS_MH_TAB_SIZE with
// CONFIG_IP_VS_MH_TAB_INDEX=12). A service with mh cannot have more destinations.
const maxHashed = 4093

// checkHash returns an error if the service has more destinations than the hash table of the
// scheduler mh has slots.
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
	case d.Addr.Addr().Is6() != id.Is6() && d.Forward != Tunnel:
		return errors.New("its address family differs from the service's; use a tunnel (ipip, gue or gre), or addresses of one family")
	case d.Forward != Masq && d.Forward != Tunnel && d.Forward != Route && d.Forward != Local:
		return errors.New("no forwarding method; use gate, masq, ipip, gue or gre")
	case d.Weight < 0 || d.Weight > MaxWeight:
		return fmt.Errorf("weight %d is not between 0 and %d", d.Weight, MaxWeight)
	case max(d.Upper, d.Lower) > MaxThreshold:
		return fmt.Errorf("threshold %d is not between 0 and %d", max(d.Upper, d.Lower), MaxThreshold)
	case d.Upper != 0 && d.Lower > d.Upper:
		return fmt.Errorf("lower threshold %d is above the upper threshold %d", d.Lower, d.Upper)
	case d.Upper == 0 && d.Lower != 0:
		return fmt.Errorf("lower threshold %d has no upper threshold", d.Lower)
	case !id.IsMark() && !d.Forward.RewritesPort() && d.Addr.Port() != id.Addr.Port():
		return fmt.Errorf("direct routing and tunnels cannot change the port: it is %d here and %d in the service; use the same port or masq",
			d.Addr.Port(), id.Addr.Port())
	}
	return cmp.Or(d.Encapsulation.check(d.Forward), checkHost(d.Addr.Addr()))
}
