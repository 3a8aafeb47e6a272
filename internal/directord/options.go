package directord

import (
	"errors"
	"flag"
	"io"
	"strings"

	"lvs-agents/internal/config/params"
)

// options are the flags of the daemon. This program and the health agent start the daemon with
// these flags.
type options struct {
	stateDir string
	id       string
	config   string // config is the path of the configuration file. It is empty if ipvs is set.
	// ipvs is the ipvs resource that has the virtual services. It is empty if config is set.
	ipvs   string
	checks params.Checks
	// instance is the name in ldirectord's files. It is empty for a daemon of the health agent.
	instance string
	// attribute is the node attribute of Pacemaker for the share of good real servers. Empty means
	// none.
	attribute string
	// pidFile is the pid file that replaces the pid file of ldirectord. Empty means none.
	pidFile string
	// invoked is the command line for the log. It is empty if the log already has it.
	invoked string
	// purge says that the virtual services belong to the daemon. The daemon removes them when it
	// ends.
	purge bool
	// notify says that the program that started the daemon waits until the daemon is ready.
	notify     bool
	debug      bool
	foreground bool
}

// parseOptions parses the flags of the daemon. stateDir is the default of --state-dir.
func parseOptions(args []string, stateDir string) (options, error) {
	o := options{checks: params.Checks{}}
	flags := flag.NewFlagSet("directord "+serveVerb, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.stateDir, "state-dir", stateDir, "")
	flags.StringVar(&o.id, "id", "", "")
	flags.StringVar(&o.config, "config", "", "")
	flags.StringVar(&o.ipvs, "ipvs", "", "")
	flags.StringVar(&o.instance, "instance", "", "")
	flags.StringVar(&o.attribute, "attribute", "", "")
	flags.StringVar(&o.pidFile, "pid-file", "", "")
	flags.StringVar(&o.invoked, "invoked", "", "")
	flags.BoolVar(&o.purge, "purge", false, "")
	flags.BoolVar(&o.notify, "notify", false, "")
	flags.BoolVar(&o.debug, "debug", false, "")
	flags.BoolVar(&o.foreground, "foreground", false, "")
	flags.Func("check", "", func(text string) error {
		name, value, _ := strings.Cut(text, "=")
		o.checks[name] = value
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.id == "" || (o.config == "") == (o.ipvs == "") || flags.NArg() > 0 {
		return o, errors.New("--id and one of --config and --ipvs are needed, and no other words")
	}
	return o, nil
}

// name returns the configuration file or the resource for messages.
func (o options) name() string {
	if o.ipvs != "" {
		return "resource " + o.ipvs
	}
	return o.config
}
