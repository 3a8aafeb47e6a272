package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"lvs-agents/crm"
)

type showCommand struct {
	Output string `enum:"crm,pcs,cib,ipvsadm,json" default:"crm" placeholder:"FORMAT" help:"Format of the output: crm, pcs, cib (XML), json, or ipvsadm (the IPVS table of this node)."`
}

// Run prints the resources of the running cluster. Passwords are not shown.
func (c showCommand) Run(ctx context.Context, sys system) error {
	if c.Output == "ipvsadm" {
		table, err := sys.kernel.Table(ctx)
		if err != nil {
			return err
		}
		_, err = io.WriteString(sys.stdout, table.String())
		return err
	}
	running, err := sys.cluster.Read(ctx)
	if err != nil {
		return err
	}
	resources := running.Resources()
	if len(resources.Primitives) == 0 {
		return errors.New("the cluster has no resource of lvs-agents")
	}
	hidePasswords(resources)
	text, err := c.text(resources)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(sys.stdout, text)
	return err
}

func (c showCommand) text(r crm.Resources) (string, error) {
	switch c.Output {
	case "pcs":
		return r.PCS("FILE"), nil
	case "cib":
		return r.CIB("FILE")
	case "json":
		text, err := json.MarshalIndent(r, "", "  ")
		return string(text) + "\n", err
	}
	return r.Crmsh("FILE"), nil
}

// hidePasswords replaces the passwords of checks.
func hidePasswords(r crm.Resources) {
	for _, p := range r.Primitives {
		for i, pair := range p.Params {
			p.Params[i].Value = pair.Shown()
		}
	}
}
