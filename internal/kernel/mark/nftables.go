package mark

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
)

const hookChain = "prerouting"

// family is what the rules of an address family differ in.
type family struct {
	six      bool
	all      netip.Prefix // all is the network of all addresses.
	protocol byte         // protocol is a NFPROTO number (linux/netfilter.h).
	offset   uint32       // offset is where the destination address begins in the header.
	length   uint32       // length is the number of bytes of an address.
	set      nftables.SetDatatype
}

var families = []family{
	{false, netip.PrefixFrom(netip.IPv4Unspecified(), 0), unix.NFPROTO_IPV4, 16, 4, nftables.TypeIPAddr},
	{true, netip.PrefixFrom(netip.IPv6Unspecified(), 0), unix.NFPROTO_IPV6, 24, 16, nftables.TypeIP6Addr},
}

var protocolNumbers = map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "sctp": unix.IPPROTO_SCTP}

// connect returns a connection whose calls end at the deadline of the context.
func connect(ctx context.Context) (*nftables.Conn, error) {
	return nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error {
		if until, ok := ctx.Deadline(); ok {
			return c.SetDeadline(until)
		}
		return nil
	}))
}

// lacking translates the errors of a kernel without nftables, without its family inet, or without
// one of the expressions.
func lacking(err error) error {
	for _, errno := range []error{unix.ENOENT, unix.EINVAL, unix.EOPNOTSUPP, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT} {
		if errors.Is(err, errno) {
			return host.NotInstalled("nftables of family inet is not complete in this kernel (%v); modprobe nf_tables, or use method=iptables", errno)
		}
	}
	return err
}

// tryTable returns an error if the kernel cannot have our table. It creates and deletes a table in
// one transaction, which changes nothing.
func tryTable(ctx context.Context, m host.Marks) error {
	conn, err := connect(ctx)
	if err != nil {
		return lacking(err)
	}
	t, err := addTable(conn, "fwmark-try", m)
	if err != nil {
		return err
	}
	conn.DelTable(t)
	return lacking(conn.Flush())
}

// addTable adds a table with the rules of marks to the transaction.
func addTable(conn *nftables.Conn, name string, m host.Marks) (*nftables.Table, error) {
	t := conn.AddTable(&nftables.Table{Name: name, Family: nftables.TableFamilyINet})
	chain := addHook(conn, t)
	for _, f := range families {
		if err := f.addRule(conn, chain, m.Family(f.six)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func addHook(conn *nftables.Conn, t *nftables.Table) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return conn.AddChain(&nftables.Chain{Name: hookChain, Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRef(host.NFTPriority), Policy: &accept})
}

// findTable returns our table, or nil if the kernel does not have it.
func findTable(ctx context.Context, name string) (*nftables.Conn, *nftables.Table, error) {
	conn, err := connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if errors.Is(lacking(err), host.ErrNotInstalled) {
		return conn, nil, nil
	}
	i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == name })
	if err != nil || i < 0 {
		return conn, nil, err
	}
	return conn, tables[i], nil
}

// writeTable replaces the table in one transaction. Without addresses, it deletes the table. If
// another program deletes the table at the same time, writeTable tries once more.
func writeTable(ctx context.Context, name string, m host.Marks) error {
	err := replaceTable(ctx, name, m)
	if errors.Is(err, unix.ENOENT) {
		err = replaceTable(ctx, name, m)
	}
	return lacking(err)
}

func replaceTable(ctx context.Context, name string, m host.Marks) error {
	conn, old, err := findTable(ctx, name)
	if err != nil {
		return err
	}
	if old != nil {
		conn.DelTable(old)
	}
	if len(m.IP) > 0 {
		if _, err := addTable(conn, name, m); err != nil {
			return err
		}
	}
	return conn.Flush()
}

// addRule adds the rule of one family, unless the marks have no address of the family.
func (f family) addRule(conn *nftables.Conn, chain *nftables.Chain, m host.Marks) error {
	if len(m.IP) == 0 {
		return nil
	}
	var exprs []expr.Any
	if m.Interface != "" {
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, m.Interface)
		exprs = append(exprs, meta(expr.MetaKeyIIFNAME), equal(name))
	}
	exprs = append(exprs, meta(expr.MetaKeyNFPROTO), equal([]byte{f.protocol}))
	var failed error
	among := func(load expr.Any, kind nftables.SetDatatype, ranges []span) {
		set := &nftables.Set{Table: chain.Table, Anonymous: true, Constant: true, Interval: kind != nftables.TypeInetProto, KeyType: kind}
		failed = errors.Join(failed, conn.AddSet(set, elements(ranges, set.Interval)))
		exprs = append(exprs, load, &expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID})
	}
	if m.IP[0].Bits() > 0 {
		among(f.destination(), f.set, spans(m.IP, networkSpan))
	}
	among(meta(expr.MetaKeyL4PROTO), nftables.TypeInetProto, spans(m.Protocols, protocolSpan))
	if len(m.Ports) > 0 {
		among(port, nftables.TypeInetService, spans(m.Ports, portSpan))
	}
	exprs = append(exprs, &expr.Counter{}, &expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(m.Mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1})
	conn.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: exprs})
	return failed
}

func meta(key expr.MetaKey) *expr.Meta { return &expr.Meta{Key: key, Register: 1} }

func equal(data []byte) *expr.Cmp { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

func (f family) destination() *expr.Payload {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: f.offset, Len: f.length}
}

// port loads the destination port, which TCP, UDP and SCTP have at the same place.
var port = &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}

// span is a range of values in network byte order. Its ends belong to it.
type span struct{ first, last []byte }

func spans[T any](list []T, of func(T) span) []span {
	var ranges []span
	for _, item := range list {
		ranges = append(ranges, of(item))
	}
	return ranges
}

func protocolSpan(name string) span {
	n := []byte{protocolNumbers[name]}
	return span{n, n}
}

func portSpan(p host.Ports) span {
	return span{binary.BigEndian.AppendUint16(nil, p.First), binary.BigEndian.AppendUint16(nil, p.Last)}
}

func networkSpan(p netip.Prefix) span {
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	return span{p.Addr().AsSlice(), last}
}

// elements returns the elements of a set. A set of intervals has another element for each end: the
// first value after the interval. An interval up to the last value has no such element.
func elements(ranges []span, interval bool) []nftables.SetElement {
	var list []nftables.SetElement
	for _, r := range ranges {
		list = append(list, nftables.SetElement{Key: r.first})
		if end := after(r.last); interval && end != nil {
			list = append(list, nftables.SetElement{Key: end, IntervalEnd: true})
		}
	}
	return list
}

// after returns the value after a value, with the same length. It returns nil after the last value.
func after(value []byte) []byte {
	next := bytes.Clone(value)
	for i := len(next) - 1; i >= 0; i-- {
		next[i]++
		if next[i] != 0 {
			return next
		}
	}
	return nil
}

// readTable returns the value of the table: the marks of its rules, or how it differs from a table
// that writeTable makes.
func readTable(ctx context.Context, name string) (string, error) {
	conn, t, err := findTable(ctx, name)
	if err != nil || t == nil {
		return host.Off, err
	}
	if t.Flags != 0 {
		return "switched off (flags dormant)", nil
	}
	m, different := tableMarks(conn, t)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if different != nil {
		// The table can be gone by now.
		if _, again, err := findTable(ctx, name); err != nil || again == nil {
			return host.Off, err
		}
		return different.Error(), nil //nolint:nilerr // the error is the difference
	}
	return m.Normal().String(), nil
}

// tableMarks returns the marks of the rules in a table. The error says how the table differs.
func tableMarks(conn *nftables.Conn, t *nftables.Table) (host.Marks, error) {
	chains, err := conn.ListChainsOfTableFamily(t.Family)
	if err != nil {
		return host.Marks{}, fmt.Errorf("not readable (%w)", err)
	}
	chains = slices.DeleteFunc(chains, func(c *nftables.Chain) bool { return c.Table.Name != t.Name })
	switch {
	case len(chains) == 0:
		return host.Marks{}, errEmpty
	case len(chains) > 1 || !hooked(chains[0]):
		return host.Marks{}, errors.New("changed (it has another chain or hook)")
	}
	rules, err := conn.GetRules(t, chains[0])
	if err != nil {
		return host.Marks{}, fmt.Errorf("not readable (%w)", err)
	}
	if len(rules) == 0 {
		return host.Marks{}, errEmpty
	}
	var all host.Marks
	for i, r := range rules {
		m, err := readRule(conn, t, r.Exprs)
		if err != nil {
			return all, fmt.Errorf("changed (%w)", err)
		}
		if same := m; i > 0 {
			if same.IP = all.IP; same.String() != all.String() {
				return all, errors.New("changed (its rules differ in more than the addresses)")
			}
			m.IP = append(m.IP, all.IP...)
		}
		all = m
	}
	return all, nil
}

var errEmpty = errors.New("empty")

func hooked(c *nftables.Chain) bool {
	return c.Name == hookChain && c.Type == nftables.ChainTypeFilter && c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookPrerouting &&
		c.Priority != nil && *c.Priority == host.NFTPriority && c.Policy != nil && *c.Policy == nftables.ChainPolicyAccept
}
