package mark

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
)

// rule is a rule of nftables that is read expression by expression.
type rule struct {
	conn   *nftables.Conn
	table  *nftables.Table
	marks  host.Marks
	family *family
	loaded expr.Any // loaded is the last expression that has written register 1.
}

// readRule returns the marks of a rule. The error says how the rule differs from a rule of
// writeTable. The rule can also come from nft, which compares single values without a set.
func readRule(conn *nftables.Conn, t *nftables.Table, exprs []expr.Any) (host.Marks, error) {
	r := rule{conn: conn, table: t}
	for _, e := range exprs {
		if r.marks.Mark != 0 {
			return r.marks, errors.New("a rule continues after the mark")
		}
		if err := r.read(e); err != nil {
			return r.marks, err
		}
	}
	if r.marks.Mark == 0 || r.family == nil || len(r.marks.Protocols) == 0 {
		return r.marks, errors.New("a rule lacks its mark, family or protocols")
	}
	if r.marks.IP == nil {
		r.marks.IP = []netip.Prefix{r.family.all}
	}
	return r.marks, nil
}

func (r *rule) read(e expr.Any) error {
	switch e := e.(type) {
	case *expr.Counter:
		return nil
	case *expr.Meta:
		if !e.SourceRegister {
			return r.load(e, e.Register)
		}
		immediate, ok := r.loaded.(*expr.Immediate)
		if !ok || e.Key != expr.MetaKeyMARK || e.Register != 1 || len(immediate.Data) != 4 {
			return errors.New("a rule sets something else than the mark")
		}
		r.marks.Mark = binaryutil.NativeEndian.Uint32(immediate.Data)
		return nil
	case *expr.Payload:
		if e.OperationType == expr.PayloadLoad {
			return r.load(e, e.DestRegister)
		}
	case *expr.Immediate:
		return r.load(e, e.Register)
	case *expr.Cmp:
		if e.Op == expr.CmpOpEq && e.Register == 1 {
			return r.match([]span{{e.Data, e.Data}})
		}
	case *expr.Lookup:
		if !e.Invert && !e.IsDestRegSet && e.SourceRegister == 1 {
			ranges, err := r.elements(e.SetName)
			if err != nil {
				return err
			}
			return r.match(ranges)
		}
	}
	return fmt.Errorf("a rule has another expression, %T", e)
}

func (r *rule) load(e expr.Any, register uint32) error {
	if r.loaded = e; register != 1 {
		return fmt.Errorf("a rule uses register %d", register)
	}
	return nil
}

// elements returns the values of a set as sorted ranges.
func (r *rule) elements(name string) ([]span, error) {
	set, err := r.conn.GetSetByName(r.table, name)
	if err != nil {
		return nil, err
	}
	list, err := r.conn.GetSetElements(set)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b nftables.SetElement) int {
		return cmp.Or(bytes.Compare(a.Key, b.Key), map[bool]int{true: -1, false: 1}[a.IntervalEnd])
	})
	var ranges []span
	open := false // open says that the last range has no end yet
	for _, e := range list {
		switch {
		case !set.Interval:
			ranges = append(ranges, span{e.Key, e.Key})
		case !e.IntervalEnd && !open:
			ranges = append(ranges, span{e.Key, bytes.Repeat([]byte{0xff}, len(e.Key))})
			open = true
		case e.IntervalEnd && open:
			ranges[len(ranges)-1].last = before(e.Key)
			open = false
		case e.IntervalEnd && len(ranges) == 0: // nft begins a set with the end of the values before it
		default:
			return nil, errors.New("a set has overlapping values")
		}
	}
	return ranges, nil
}

// before returns the value before a value, with the same length.
func before(value []byte) []byte {
	previous := bytes.Clone(value)
	for i := len(previous) - 1; i >= 0; i-- {
		previous[i]--
		if previous[i] != 0xff {
			break
		}
	}
	return previous
}

// match reads a comparison of the loaded value with ranges.
func (r *rule) match(ranges []span) error {
	switch e := r.loaded.(type) {
	case *expr.Meta:
		return r.matchMeta(e.Key, ranges)
	case *expr.Payload:
		if r.family != nil && *e == *r.family.destination() && r.marks.IP == nil {
			return fill(&r.marks.IP, ranges, r.family.network)
		}
		if *e == *port && r.marks.Ports == nil {
			return fill(&r.marks.Ports, ranges, ports)
		}
	}
	return errors.New("a rule compares something else")
}

func (r *rule) matchMeta(key expr.MetaKey, ranges []span) error {
	only := ranges[0].first
	switch {
	case key == expr.MetaKeyL4PROTO && r.marks.Protocols == nil:
		return fill(&r.marks.Protocols, ranges, protocol)
	case len(ranges) > 1:
	case key == expr.MetaKeyNFPROTO && r.family == nil:
		for _, f := range families {
			if bytes.Equal(only, []byte{f.protocol}) {
				r.family = &f
				return nil
			}
		}
	case key == expr.MetaKeyIIFNAME && r.marks.Interface == "" && len(only) == unix.IFNAMSIZ:
		r.marks.Interface = string(bytes.TrimRight(only, "\x00"))
		return nil
	}
	return errors.New("a rule compares something else")
}

// fill fills a list from ranges.
func fill[T any](list *[]T, ranges []span, of func(span) (T, error)) error {
	for _, s := range ranges {
		item, err := of(s)
		if err != nil {
			return err
		}
		*list = append(*list, item)
	}
	return nil
}

// network returns the network whose first and last address are the ends of a range.
func (f family) network(s span) (netip.Prefix, error) {
	addr, _ := netip.AddrFromSlice(s.first)
	for bits := range int(f.length)*8 + 1 {
		if p := netip.PrefixFrom(addr, bits); p.Masked() == p && bytes.Equal(networkSpan(p).last, s.last) {
			return p, nil
		}
	}
	return netip.Prefix{}, errors.New("a range of addresses is not a network")
}

func ports(s span) (host.Ports, error) {
	if len(s.first) != 2 {
		return host.Ports{}, errors.New("a port has another length")
	}
	return host.Ports{First: binary.BigEndian.Uint16(s.first), Last: binary.BigEndian.Uint16(s.last)}, nil
}

func protocol(s span) (string, error) {
	for name, number := range protocolNumbers {
		if bytes.Equal(s.first, []byte{number}) && bytes.Equal(s.last, s.first) {
			return name, nil
		}
	}
	return "", fmt.Errorf("a rule has the other protocols %d-%d", s.first, s.last)
}
