package setting

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

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

// hooks are the chains of a table. The numbers are NF_ARP_IN and NF_ARP_OUT
// (linux/netfilter_arp.h). Other families have other numbers.
var hooks = []struct {
	name   string
	number nftables.ChainHook
}{{"input", 0}, {"output", 1}}

// incomplete is the value of a table that lacks a rule of this setting, or has another rule.
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

// lacking translates the errors of a kernel without nftables or without its family arp.
func lacking(err error) error {
	for _, errno := range []error{unix.EINVAL, unix.EOPNOTSUPP, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT} {
		if errors.Is(err, errno) {
			return host.NotInstalled("nftables for ARP is not in this kernel (%v); modprobe nf_tables or use another method", errno)
		}
	}
	return err
}

// HasTable reports whether nftables has a table of this name in any family.
func (Kernel) HasTable(name string) bool {
	conn, err := nftables.New()
	if err != nil {
		return false
	}
	tables, err := conn.ListTables()
	return err == nil && slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == name })
}

// haveNFT returns an error if the kernel has no nftables for ARP. It creates and deletes a table in
// one transaction, which changes nothing. A list of tables would not prove it, because the kernel
// returns a list even if the family is missing.
func haveNFT() error {
	conn, _, err := nft()
	if err != nil {
		return err
	}
	t := conn.AddTable(&nftables.Table{Name: "lvs-agents-try", Family: nftables.TableFamilyARP})
	conn.DelTable(t)
	return lacking(conn.Flush())
}

// table returns host.On if the table for an address exists and its chains have exactly our rules.
// It returns incomplete if a chain has other rules, and host.Off if the table does not exist.
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

// same compares two rules. It compares only the expressions that the kernel returns unchanged:
// immediate values, comparisons and the verdict.
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

// rule returns the rule of a chain. The input rule drops ARP packets to the address. The output
// rule replaces the address as the sender of ARP packets with the host's own address.
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
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0, 1, 8, 0, 6, 4}}, // Ethernet, IPv4 and the lengths of their addresses
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: s.IP.AsSlice()},
	}, end...)
}
