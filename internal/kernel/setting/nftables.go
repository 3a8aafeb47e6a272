package setting

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
)

// Offsets in an ARP packet for IPv4 over Ethernet (RFC 826).
const (
	senderIP = 14
	targetIP = 24
)

// hooks are the chains of a table. NF_ARP_IN and NF_ARP_OUT
// (linux/netfilter_arp.h) are numbers of their own.
var hooks = []struct {
	name   string
	number nftables.ChainHook
}{{"input", 0}, {"output", 1}}

// incomplete is the value of a table that lacks rules of ours.
const incomplete = "incomplete"

// nft opens a connection and returns the tables of family arp.
func nft() (*nftables.Conn, []*nftables.Table, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, nil, lacking(err)
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyARP)
	return conn, tables, lacking(err)
}

// lacking translates what a kernel without nftables, or without its family arp,
// answers.
func lacking(err error) error {
	for _, errno := range []error{unix.EINVAL, unix.EOPNOTSUPP, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT} {
		if errors.Is(err, errno) {
			return host.NotInstalled("nftables for ARP is not in this kernel (%v); modprobe nf_tables or use another method", errno)
		}
	}
	return err
}

// haveNFT finds out by making a table and deleting it in one transaction, which
// leaves nothing: listing the tables of a family that is missing is no error.
func haveNFT() error {
	conn, _, err := nft()
	if err != nil {
		return err
	}
	t := conn.AddTable(&nftables.Table{Name: "lvs-agents-try", Family: nftables.TableFamilyARP})
	conn.DelTable(t)
	return lacking(conn.Flush())
}

// table tells whether the table for an address is there with all of its rules.
func table(s host.Setting) (string, error) {
	conn, tables, err := nft()
	if err != nil {
		return "", err
	}
	for _, t := range tables {
		if t.Name != s.Table() {
			continue
		}
		for _, hook := range hooks {
			rules, err := conn.GetRules(t, &nftables.Chain{Name: hook.name, Table: t})
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return "", fmt.Errorf("nft list chain arp %s %s: %w", t.Name, hook.name, err)
			}
			if len(rules) != 1 || !same(rules[0].Exprs, rule(hook.name, s)) {
				return incomplete, nil
			}
		}
		return host.On, nil
	}
	return host.Off, nil
}

// same compares what the kernel keeps of the expressions: immediate values,
// comparisons and the verdict.
func same(have, want []expr.Any) bool {
	if len(have) != len(want) {
		return false
	}
	for i := range want {
		switch w := want[i].(type) {
		case *expr.Cmp:
			h, ok := have[i].(*expr.Cmp)
			if !ok || !bytes.Equal(h.Data, w.Data) || h.Op != w.Op {
				return false
			}
		case *expr.Immediate:
			h, ok := have[i].(*expr.Immediate)
			if !ok || !bytes.Equal(h.Data, w.Data) {
				return false
			}
		case *expr.Verdict:
			h, ok := have[i].(*expr.Verdict)
			if !ok || h.Kind != w.Kind {
				return false
			}
		}
	}
	return true
}

// setTable replaces or deletes the table in one transaction.
func setTable(s host.Setting, on bool) error {
	conn, tables, err := nft()
	if err != nil {
		return err
	}
	t := &nftables.Table{Name: s.Table(), Family: nftables.TableFamilyARP}
	for _, old := range tables {
		if old.Name == t.Name {
			conn.DelTable(t)
		}
	}
	if on {
		conn.AddTable(t)
		for _, hook := range hooks {
			accept := nftables.ChainPolicyAccept
			chain := conn.AddChain(&nftables.Chain{Name: hook.name, Table: t, Type: nftables.ChainTypeFilter,
				Hooknum: nftables.ChainHookRef(hook.number), Priority: nftables.ChainPriorityFilter, Policy: &accept})
			conn.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: rule(hook.name, s)})
		}
	}
	return lacking(conn.Flush())
}

// rule is the rule of a chain: requests for the address are not heard, and what
// would be said of it is said of the host's own address.
func rule(chain string, s host.Setting) []expr.Any {
	offset, end := uint32(targetIP), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}
	if chain == "output" {
		offset = senderIP
		end = []expr.Any{
			&expr.Immediate{Register: 1, Data: s.Source.AsSlice()},
			&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: senderIP, Len: 4},
		}
	}
	return append([]expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 0, Len: 6},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0, 1, 8, 0, 6, 4}}, // Ethernet, IPv4, their lengths
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: s.IP.AsSlice()},
	}, end...)
}
