package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"lvs-agents/crm"
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/config/format"
	"lvs-agents/internal/config/keepalived"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/disk"
)

// Sources are the files of a command, and how to read them.
type Sources struct {
	Files  []string          `arg:"" name:"file" help:"Configuration files of one setup. They become one configuration. A relative name that does not exist in the current directory is looked up in /etc/ha.d."`
	From   string            `placeholder:"FORMAT" help:"Format of the files. When unset, each file's content decides. The format ldirectord is ldirectord.cf."`
	Host   map[string]string `placeholder:"OLD=NAME" help:"Name of a director, as uname -n prints it. OLD is the address or the name in the files. For a file that has only its own host, OLD is the file as given here."`
	Strict bool              `help:"Read as the original program does, without repairs of damaged text."`
}

// Shape is how resources are made from a configuration.
type Shape struct {
	Form   string `enum:"group,constraints,hot-standby" placeholder:"FORM" default:"hot-standby" help:"How the resources depend on each other: hot-standby (every director has the table, only the address moves), group (everything moves), or constraints (as group, but a health daemon never moves the address). The default is hot-standby."`
	Name   string `placeholder:"NAME" help:"First part of the names of resources. When unset, the name of the only group of virtual addresses, or lvs."`
	Config string `placeholder:"FILE" default:"/etc/ha.d/ldirectord.cf" help:"File that the resources read on every director. The output of lvsctl convert with --to=ldirectord.cf belongs there."`
	Inline bool   `help:"Write services and checks into the parameters of the resources instead of a file. The parameters have one list of real servers and one check."`
}

// options returns the options of package crm.
func (s Shape) options() crm.Options {
	o := crm.Options{Form: crm.Form(s.Form), Name: s.Name, File: s.Config}
	if s.Inline {
		o.File = ""
	}
	return o
}

type convertCommand struct {
	Sources
	Shape

	To      string            `enum:"crm,pcs,cib,haresources,ldirectord.cf,keepalived,ipvsadm,corosync" default:"crm" placeholder:"FORMAT" help:"Format of the output: crm (for crm configure load update), pcs (a shell script), cib (XML for cibadmin), haresources, ldirectord.cf, keepalived (keepalived.conf), ipvsadm (for ipvsadm -R), or corosync (corosync.conf: directors and their links)."`
	Link    map[string]string `placeholder:"NAME=ADDRESS" help:"Addresses of a director for corosync, separated by commas: one for each network. NAME is the name that uname -n prints."`
	Node    string            `placeholder:"NODE" help:"For haresources, the preferred director, if the files do not have one. For keepalived, the director whose file is written; when unset, the preferred one."`
	Output  string            `placeholder:"FILE" help:"Write to this file instead of standard output."`
	Secrets bool              `help:"Write logins and passwords of checks and programs into the file, which then has mode 600. Needs --output."`
}

// Run converts configuration files. It prints a line for each repair, for each part that has no
// equivalent, and for everything that the operator must do. With an error, it writes no output.
func (c convertCommand) Run(ctx context.Context, sys system, line *kong.Context) error {
	if c.Secrets && c.Output == "" {
		return errors.New("--secrets needs --output: passwords are not written to standard output")
	}
	if err := c.unused(line); err != nil {
		return err
	}
	cfg, err := c.read(ctx, sys)
	if err != nil {
		return err
	}
	text, problems := c.write(ctx, sys, cfg)
	if text == "" && config.Err(problems) == nil {
		problems = append(problems, config.Problem{
			File: cfg.File, Severity: config.Error, What: "nothing of the files has a place in the format " + c.To, Fix: "give the files that have the virtual services to the same command",
		})
	}
	explain(sys, cfg.Place(problems))
	if config.Err(problems) != nil {
		return errNo
	}
	if c.Output == "" {
		_, err = io.WriteString(sys.stdout, text)
		return err
	}
	return c.replace(text)
}

// unused returns an error for an option that has no effect on the output format.
func (c convertCommand) unused(line *kong.Context) error {
	resources := []string{"crm", "pcs", "cib", "haresources"}
	formats := map[string][]string{ // the formats that each option has an effect on
		"form": resources[:3], "name": append(resources[:3:3], "corosync"), "config": resources, "inline": resources,
		"node": {"haresources", "keepalived"}, "secrets": {"ldirectord.cf", "keepalived"}, "link": {"corosync"},
	}
	for _, p := range line.Path {
		if p.Flag == nil {
			continue
		}
		if has, limited := formats[p.Flag.Name]; limited && !slices.Contains(has, c.To) {
			return fmt.Errorf("--%s has no effect with --to=%s; leave it out", p.Flag.Name, c.To)
		}
	}
	return nil
}

// Validate returns an error for a relative file, because the agents look it up in other directories
// than lvsctl.
func (s Shape) Validate() error {
	if !filepath.IsAbs(s.Config) {
		return fmt.Errorf("--config %s is a relative name; write the path, %s for example", s.Config, filepath.Join(load.Dir, s.Config))
	}
	return nil
}

// read returns one configuration for all files.
func (c Sources) read(ctx context.Context, sys system) (*config.Config, error) {
	reader := disk.Reader{Helper: sys.helper}
	var configs []*config.Config
	for _, file := range c.Files {
		path, text, err := load.Read(ctx, &reader, file, sys.dirs...)
		if err != nil {
			return nil, err
		}
		cfg, err := c.parse(ctx, sys, file, path, text)
		if err != nil {
			return nil, err
		}
		configs = append(configs, cfg)
	}
	merged, problems := config.Merge(configs...)
	explain(sys, problems)
	return merged, nil
}

// mostShown is how many problems of a file explain prints. A file of another kind can have one in
// each of its lines.
const mostShown = 1000

// explain prints problems.
func explain(sys system, problems []config.Problem) {
	for i, p := range problems {
		if i == mostShown {
			fmt.Fprintf(sys.stderr, "lvsctl: problems that are not shown: %d\n", len(problems)-i)
			return
		}
		fmt.Fprintln(sys.stderr, lint(p))
	}
}

// rename gives the directors of a file the names of the command line.
func (c Sources) rename(cluster *config.Cluster, file string) {
	name := func(old string) string { return cmp.Or(c.Host[cmp.Or(old, file)], old) }
	for i, n := range cluster.Nodes {
		cluster.Nodes[i].Name = name(n.Name)
	}
	for _, g := range cluster.Groups {
		for i, p := range g.Preferences {
			g.Preferences[i].Node = name(p.Node)
		}
	}
}

// unnamed returns a warning for each director that has an address instead of a name.
func unnamed(path string, cluster *config.Cluster) []config.Problem {
	var problems []config.Problem
	for _, n := range cluster.Nodes {
		if _, err := netip.ParseAddr(n.Name); err == nil {
			problems = append(problems, config.Problem{
				File: path, Line: n.Line, Severity: config.Warning,
				What: "the file does not have the name of the director " + n.Name, Fix: "give the name that `uname -n` prints: --host " + n.Name + "=NAME",
			})
		}
	}
	return problems
}

// missing returns a warning for each file of services that a file names and the command line does
// not have. A copy in another directory counts.
func (c Sources) missing(path string, cluster *config.Cluster) []config.Problem {
	var problems []config.Problem
	for _, f := range cluster.Files {
		if slices.ContainsFunc(c.Files, func(given string) bool { return filepath.Base(given) == filepath.Base(f.Path) }) {
			continue
		}
		problems = append(problems, config.Problem{
			File: path, Line: f.Line, Severity: config.Warning,
			What: fmt.Sprintf("the services of %s are in %s", fault.Short(f.Resource), f.Path), Fix: "give this file to the same command",
		})
	}
	return problems
}

func (c Sources) parse(ctx context.Context, sys system, file, path string, text []byte) (*config.Config, error) {
	f, err := format.Of(text)
	if c.From != "" {
		f, err = format.Named(c.From)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	parse := f.Parse
	if c.Strict && f.Strict != nil {
		parse = f.Strict
	}
	if f.Name == "keepalived" { // Lines of the file can be for one director.
		parse = keepalived.Options{Director: c.Host[file], Files: included(ctx, &disk.Reader{Helper: sys.helper}), Strict: c.Strict}.Parse
		if c.Strict {
			parse = format.Strictly(parse)
		}
	}
	cfg, problems := parse(path, text)
	if cfg != nil && cfg.Cluster != nil {
		c.rename(cfg.Cluster, file)
		problems = append(problems, unnamed(path, cfg.Cluster)...)
		problems = append(problems, c.missing(path, cfg.Cluster)...)
	}
	explain(sys, problems)
	if cfg == nil || config.Err(problems) != nil {
		return nil, errNo
	}
	return cfg, nil
}

// included returns the files that a statement include of keepalived.conf names.
func included(ctx context.Context, reader *disk.Reader) *keepalived.Files {
	return &keepalived.Files{
		Glob: func(pattern string) ([]string, error) { return reader.Glob(ctx, pattern) },
		Read: func(path string) ([]byte, error) {
			if info, err := reader.Stat(ctx, path); err == nil && info.Mode().Perm()&0o111 != 0 {
				return nil, fmt.Errorf("%s is a program or a directory", path)
			}
			return reader.Read(ctx, path)
		},
	}
}

// write returns the configuration in the format of the output.
func (c convertCommand) write(ctx context.Context, sys system, cfg *config.Config) (string, []config.Problem) {
	switch c.To {
	case "ldirectord.cf":
		return ldirectord.Write(cfg, c.Secrets)
	case "keepalived":
		return keepalived.WriteFor(c.Node, cfg, c.Secrets)
	case "ipvsadm":
		return table(ctx, sys, cfg)
	case "corosync":
		return c.corosync(cfg)
	}
	options := c.options()
	if c.To == "haresources" {
		options.Form = crm.ClassicGroup
		if n := groups(cfg); n > 1 {
			return "", []config.Problem{{
				File: cfg.File, Severity: config.Error, What: fmt.Sprintf("haresources cannot have %d groups of virtual addresses: each needs its own services, their parameters have blanks, and haresources has no quotes", n),
				Fix: "put all addresses into one group, or write resources for Pacemaker with --to=crm",
			}}
		}
	}
	resources, problems := crm.Build(cfg, options)
	if config.Err(problems) != nil {
		return "", problems
	}
	warn := func(what, fix string) {
		problems = append(problems, config.Problem{File: cfg.File, Severity: config.Warning, What: what, Fix: fix})
	}
	if !c.Inline {
		warn(fmt.Sprintf("the resources read %s on every director", c.Config), fmt.Sprintf("write it with --to=ldirectord.cf --output=%s", filepath.Base(c.Config)))
	}
	if c.To != "haresources" {
		if cfg.Cluster != nil && cfg.Cluster.Messages != nil {
			warn("resources do not have the settings of messages between the directors, deadtime for example", "write corosync.conf with --to=corosync")
		}
		warn(noFencing, fixFencing)
	}
	text, err := c.resources(resources)
	if err != nil {
		problems = append(problems, config.Problem{File: cfg.File, Severity: config.Error, What: err.Error()})
	}
	return text, problems
}

// groups returns the number of groups that have virtual addresses.
func groups(cfg *config.Config) (n int) {
	if cfg.Cluster == nil {
		return 0
	}
	for _, g := range cfg.Cluster.Groups {
		if len(g.Addresses) > 0 {
			n++
		}
	}
	return n
}

// corosync returns corosync.conf. The addresses of --link replace the addresses of the files.
func (c convertCommand) corosync(cfg *config.Config) (string, []config.Problem) {
	refused := func(what, fix string) (string, []config.Problem) {
		return "", []config.Problem{{File: cfg.File, Severity: config.Error, What: what, Fix: fix}}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Link)) {
		i := -1
		if cfg.Cluster != nil {
			i = slices.IndexFunc(cfg.Cluster.Nodes, func(n config.Node) bool { return n.Name == name })
		}
		if i < 0 {
			return refused(fmt.Sprintf("--link %s: the files have no director with this name", fault.Quote(name)), "give the name of --host, or of the files")
		}
		node := &cfg.Cluster.Nodes[i]
		node.Links = nil
		for text := range strings.SplitSeq(c.Link[name], ",") {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return refused(fmt.Sprintf("--link %s: %s is not an address", name, fault.Quote(text)), "")
			}
			node.Links = append(node.Links, addr)
		}
	}
	return crm.Corosync(cfg, cmp.Or(c.Name, "lvs"))
}

// noFencing and fixFencing are the reminder that comes with every new configuration of a cluster.
const (
	noFencing  = "the cluster starts no resource until it has fencing"
	fixFencing = "configure your fence agents, and do not set stonith-enabled=false"
)

func (c convertCommand) resources(r crm.Resources) (string, error) {
	name := fault.Printable(filepath.Base(cmp.Or(c.Output, map[string]string{"crm": "lvs.crm", "pcs": "lvs.pcs", "cib": "lvs.xml"}[c.To])))
	switch c.To {
	case "pcs":
		return r.PCS(name), nil
	case "cib":
		return r.CIB(name)
	case "haresources":
		return r.Haresources(c.Node)
	}
	return r.Crmsh(name), nil
}

// table returns the input of ipvsadm -R.
func table(ctx context.Context, sys system, cfg *config.Config) (string, []config.Problem) {
	table, problems := cfg.Table(ctx, config.NewNames(sys.resolver))
	if f, err := format.Named("commands"); err == nil {
		if again, _ := f.Parse("the table", []byte(table.String())); again != nil && len(config.Lost(cfg, again, "")) == 0 {
			return table.String(), problems
		}
	}
	lost := config.Lost(cfg, ldirectord.Bare(cfg), "the table")
	if i := slices.IndexFunc(lost, func(p config.Problem) bool { return strings.HasSuffix(p.What, " lvs_timeouts") }); i >= 0 {
		lost[i].Fix = "use ipvsadm --set"
	}
	return table.String(), append(problems, lost...)
}

// replace writes the output file. Another file of this name is replaced only after everything is
// written, and its permissions stay. Only a regular file is replaced, not a device, a link or a
// directory.
func (c convertCommand) replace(text string) error {
	mode := os.FileMode(0o644)
	if info, err := os.Lstat(c.Output); err == nil {
		if mode = info.Mode(); !mode.IsRegular() {
			return fmt.Errorf("--output %s is not a regular file; give another name", c.Output)
		}
	}
	file, err := os.CreateTemp(filepath.Dir(c.Output), ".lvsctl-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString(text)
	if !c.Secrets {
		err = errors.Join(err, file.Chmod(mode))
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), c.Output)
}
