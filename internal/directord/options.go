package directord

import (
	"errors"
	"flag"
	"io"
	"strings"

	"lvs-agents/internal/config/params"
)

// options are the flags of the daemon. This program and the health agent set them.
type options struct {
	stateDir   string
	id         string
	config     string // file with the configuration; empty for a resource
	ipvs       string // resource with the virtual services
	checks     params.Checks
	instance   string // what ldirectord calls the instance; empty for a daemon of the health agent
	pidFile    string // in ldirectord's place; empty for none
	invoked    string // command line to log; empty if it was logged
	purge      bool   // the services belong to the daemon, and end with it
	notify     bool   // the program that started the daemon waits for it
	debug      bool
	foreground bool
}

// parseOptions parses flags; stateDir is the default.
func parseOptions(args []string, stateDir string) (options, error) {
	o := options{checks: params.Checks{}}
	flags := flag.NewFlagSet("directord "+serveVerb, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.stateDir, "state-dir", stateDir, "")
	flags.StringVar(&o.id, "id", "", "")
	flags.StringVar(&o.config, "config", "", "")
	flags.StringVar(&o.ipvs, "ipvs", "", "")
	flags.StringVar(&o.instance, "instance", "", "")
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
		return o, errors.New("--id and one of --config and --ipvs are needed")
	}
	return o, nil
}

// name returns the name of the configuration for messages.
func (o options) name() string {
	if o.ipvs != "" {
		return "resource " + o.ipvs
	}
	return o.config
}
