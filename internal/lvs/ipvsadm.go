package lvs

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// String returns the op as an ipvsadm command.
func (op Op) String() string {
	var b strings.Builder
	b.WriteString("ipvsadm ")
	switch op.Verb {
	case AddService:
		writeService(&b, "-A", op.Service)
	case EditService:
		writeService(&b, "-E", op.Service)
	case DeleteService:
		fmt.Fprintf(&b, "-D %s", op.Service.ID)
	case AddDestination:
		writeDestination(&b, "-a", op.Service.ID, op.Destination)
	case EditDestination:
		writeDestination(&b, "-e", op.Service.ID, op.Destination)
	case DeleteDestination:
		fmt.Fprintf(&b, "-d %s -r %s", op.Service.ID, op.Destination.Addr)
	default:
		fmt.Fprintf(&b, "verb %d", op.Verb)
	}
	return b.String()
}

// String returns the table as `ipvsadm -Sn` prints it, a line for each service
// and destination, in table order.
func (t Table) String() string {
	var b strings.Builder
	for _, v := range t {
		writeService(&b, "-A", v.Service)
		b.WriteByte('\n')
		for _, d := range v.Destinations {
			writeDestination(&b, "-a", v.ID, d)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func writeService(b *strings.Builder, verb string, s Service) {
	fmt.Fprintf(b, "%s %s", verb, s.ID)
	if s.Scheduler != "" {
		fmt.Fprintf(b, " -s %s", s.Scheduler)
	}
	if s.Persistence != 0 {
		fmt.Fprintf(b, " -p %d", s.Persistence/time.Second)
		if s.normal().Granularity != 0 {
			fmt.Fprintf(b, " -M %s", Netmask(s.ID, s.Granularity))
		}
	}
	if s.Engine != "" {
		fmt.Fprintf(b, " --pe %s", s.Engine)
	}
	if s.Flags&OnePacket != 0 {
		b.WriteString(" -o")
	}
	if names := s.SchedulerFlags(); len(names) > 0 {
		fmt.Fprintf(b, " -b %s", strings.Join(names, ","))
	}
}

func writeDestination(b *strings.Builder, verb string, id ServiceID, d Destination) {
	fmt.Fprintf(b, "%s %s -r %s", verb, id, d.Addr)
	if d.Forward != 0 {
		fmt.Fprintf(b, " %s", d.Forward)
	}
	fmt.Fprintf(b, " -w %d", d.Weight)
	if d.Upper != 0 || d.Lower != 0 {
		fmt.Fprintf(b, " -x %d -y %d", d.Upper, d.Lower)
	}
	b.WriteString(d.Encapsulation.options())
}

var schedulerFlags = []struct {
	flag Flags
	name string
}{{SchedOne, "flag-1"}, {SchedTwo, "flag-2"}, {SchedTri, "flag-3"}}

// schedulerFlagNames are ipvsadm's names of the flags of sh and mh.
var schedulerFlagNames = map[string]string{
	"sh-fallback": "flag-1", "sh-port": "flag-2", "mh-fallback": "flag-1", "mh-port": "flag-2",
}

// SchedulerFlags returns the names of the flags as ipvsadm -Sn prints them. They depend on the
// scheduler.
func (s Service) SchedulerFlags() []string {
	var names []string
	for _, known := range schedulerFlags {
		if s.Flags&known.flag == 0 {
			continue
		}
		name := known.name
		for alias, of := range schedulerFlagNames {
			if of == name && strings.HasPrefix(alias, string(s.Scheduler)+"-") {
				name = alias
			}
		}
		names = append(names, name)
	}
	return names
}

// Netmask returns a prefix length as ipvsadm prints it: dotted for IPv4, a number for IPv6.
func Netmask(id ServiceID, bits int) string {
	if id.Is6() {
		return strconv.Itoa(bits)
	}
	mask := ^uint32(0) << (32 - bits)
	return netip.AddrFrom4([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}).String()
}

// ParseNetmask reads a persistence netmask: dotted for IPv4, a prefix length
// for IPv6.
func ParseNetmask(text string, ipv6 bool) (int, error) {
	if ipv6 {
		bits, err := strconv.Atoi(text)
		if err != nil || bits < 1 || bits > 128 {
			return 0, fmt.Errorf("netmask %q is not a prefix length from 1 to 128", text)
		}
		return bits, nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is4() {
		return 0, fmt.Errorf("netmask %q is not of the form 255.255.255.0", text)
	}
	raw := addr.As4()
	mask := uint32(raw[0])<<24 | uint32(raw[1])<<16 | uint32(raw[2])<<8 | uint32(raw[3])
	for bits := 1; bits <= 32; bits++ {
		if mask == ^uint32(0)<<(32-bits) {
			return bits, nil
		}
	}
	return 0, fmt.Errorf("netmask %q is not contiguous ones followed by zeros", text)
}

// ParseTable reads the output of `ipvsadm -Sn`. Lines may start with the word ipvsadm; empty lines
// and lines that start with # are skipped. ParseTable refuses an entry that is there twice, and a
// destination before its service. It does not check whether the kernel accepts the table.
func ParseTable(text string) (Table, error) {
	var b Builder
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := b.Add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	return b.Table(), nil
}

// Builder makes a table from lines in the format of `ipvsadm -Sn`, in linear time.
// The zero value is ready to use.
type Builder struct {
	table Table
	index map[ServiceID]int
	known map[ServiceID]map[netip.AddrPort]bool
}

// Table returns the table of the lines that were added.
func (b *Builder) Table() Table { return b.table }

// Add adds one line. After an error the table is unchanged.
func (b *Builder) Add(line string) error {
	op, err := ParseOp(line)
	if err != nil {
		return err
	}
	id := op.Service.ID
	i, exists := b.index[id]
	switch {
	case op.Verb != AddService && op.Verb != AddDestination:
		return fmt.Errorf("%s does not describe a table; only -A and -a do", op)
	case op.Verb == AddService && exists, op.Verb == AddDestination && b.known[id][op.Destination.Addr]:
		return fmt.Errorf("%s: %w", op, fs.ErrExist)
	case op.Verb == AddDestination && !exists:
		return fmt.Errorf("%s: %w", op, fs.ErrNotExist)
	case op.Verb == AddDestination:
		b.known[id][op.Destination.Addr] = true
		b.table[i].Destinations = append(b.table[i].Destinations, op.Destination)
		return nil
	}
	if b.index == nil {
		b.index, b.known = map[ServiceID]int{}, map[ServiceID]map[netip.AddrPort]bool{}
	}
	b.index[id], b.known[id] = len(b.table), map[netip.AddrPort]bool{}
	b.table = append(b.table, VirtualService{Service: op.Service})
	return nil
}

// ParseOp reads one ipvsadm command with numeric addresses, in the spelling
// that Op.String and `ipvsadm -Sn` use.
func ParseOp(line string) (Op, error) {
	words := strings.Fields(line)
	if len(words) > 0 && words[0] == "ipvsadm" {
		words = words[1:]
	}
	verbs := []string{"-A", "-E", "-a", "-e", "-d", "-D"}
	if len(words) == 0 || !slices.Contains(verbs, words[0]) {
		return Op{}, fmt.Errorf("%q: no command; one of -A -E -D -a -e -d is expected", line)
	}
	p := opParser{words: words[1:]}
	p.op.Verb = Verb(slices.Index(verbs, words[0]) + 1)
	for len(p.words) > 0 {
		if err := p.option(); err != nil {
			return Op{}, fmt.Errorf("%q: %w", line, err)
		}
	}
	if id := p.op.Service.ID; id.Mark == 0 && !id.Addr.IsValid() {
		return Op{}, fmt.Errorf("%q: no virtual service; one of -t, -u, --sctp-service or -f is expected", line)
	}
	if p.destination != p.op.Destination.Addr.IsValid() || p.destination != p.op.Verb.ofDestination() {
		return Op{}, fmt.Errorf("%q: -a, -e and -d take a real server (-r), -A, -E and -D do not", line)
	}
	return p.finish(line)
}

func (v Verb) ofDestination() bool {
	return v == AddDestination || v == EditDestination || v == DeleteDestination
}

type opParser struct {
	words       []string
	op          Op
	netmask     string
	destination bool
}

// finish parses the netmask, which depends on the address family of the service.
func (p *opParser) finish(line string) (Op, error) {
	if p.netmask == "" {
		return p.op, nil
	}
	bits, err := ParseNetmask(p.netmask, p.op.Service.ID.Is6())
	if err != nil {
		return Op{}, fmt.Errorf("%q: %w", line, err)
	}
	p.op.Service.Granularity = bits
	return p.op, nil
}

func (p *opParser) option() error {
	name := p.words[0]
	p.words = p.words[1:]
	switch name {
	case "-6":
		p.op.Service.ID.IPv6 = true
	case "-o":
		p.op.Service.Flags |= OnePacket
	case "-g":
		p.op.Destination.Forward = Route
	case "-m":
		p.op.Destination.Forward = Masq
	case "-i":
		p.op.Destination.Forward = Tunnel
	case "--tun-nocsum", "--tun-csum", "--tun-remcsum":
		p.op.Destination.Encapsulation.Checksum, _ = ParseTunnelChecksum(strings.TrimPrefix(name, "--tun-"))
	default:
		if len(p.words) == 0 {
			return fmt.Errorf("%s is unknown or has no value", name)
		}
		value := p.words[0]
		p.words = p.words[1:]
		if err := p.value(name, value); err != nil {
			return fmt.Errorf("%s %s: %w", name, value, err)
		}
	}
	return nil
}

func (p *opParser) value(name, value string) (err error) {
	service, destination := &p.op.Service, &p.op.Destination
	switch name {
	case "-t", "-u", "--sctp-service":
		var addr netip.AddrPort
		addr, err = netip.ParseAddrPort(value)
		protocol := map[string]Protocol{"-t": TCP, "-u": UDP, "--sctp-service": SCTP}[name]
		service.ID = AddrService(protocol, addr)
	case "-f":
		err = number(value, 1, 1<<32-1, func(n uint64) { service.ID.Mark = uint32(n) })
	case "-s":
		service.Scheduler, err = ParseScheduler(value)
	case "-p":
		err = number(value, 0, uint64(MaxPersistence/time.Second), func(n uint64) { service.Persistence = time.Duration(n) * time.Second })
	case "-M":
		p.netmask = value
	case "-b":
		err = p.schedulerFlags(value)
	case "-r":
		p.destination = true
		destination.Addr, err = netip.ParseAddrPort(value)
	case "-w":
		err = number(value, 0, MaxWeight, func(n uint64) { destination.Weight = int(n) })
	case "-x":
		err = number(value, 0, 1<<32-1, func(n uint64) { destination.Upper = uint32(n) })
	case "--pe":
		service.Engine, err = ParseEngine(value)
	case "--tun-type":
		kind := slices.Index(tunnelTypes, value)
		if kind < 0 {
			return fmt.Errorf("unknown tunnel type")
		}
		destination.Encapsulation.Type = TunnelType(kind)
	case "--tun-port":
		err = number(value, 1, 1<<16-1, func(n uint64) { destination.Encapsulation.Port = uint16(n) })
	case "-y":
		err = number(value, 0, 1<<32-1, func(n uint64) { destination.Lower = uint32(n) })
	default:
		err = fmt.Errorf("unknown option")
	}
	return err
}

func (p *opParser) schedulerFlags(value string) error {
	for name := range strings.SplitSeq(value, ",") {
		if alias := schedulerFlagNames[name]; alias != "" {
			name = alias
		}
		i := slices.IndexFunc(schedulerFlags, func(known struct {
			flag Flags
			name string
		}) bool {
			return known.name == name
		})
		if i < 0 {
			return fmt.Errorf("unknown scheduler flag %q", name)
		}
		p.op.Service.Flags |= schedulerFlags[i].flag
	}
	return nil
}

func number(text string, low, high uint64, set func(uint64)) error {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < low || n > high {
		return fmt.Errorf("not a number from %d to %d", low, high)
	}
	set(n)
	return nil
}
