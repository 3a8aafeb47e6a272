package compat

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
)

// Exit codes of ldirectord.
const (
	ExitOK      = 0
	ExitFailed  = 1
	ExitConfig  = 2
	ExitStopped = 3   // ExitStopped: the action status has found no running daemon.
	ExitUsage   = 255 // ExitUsage: the command line has no action or an unknown action.
)

// Command is a parsed command line.
type Command struct {
	// Words are the words of the command line. The first word is the name of the program.
	Words  []string
	Config string // Config is the name of the configuration.
	// Instance is the name that ldirectord gives the instance in logs and pid files.
	Instance string
	// Action is the name of the action. It is empty without an action, and "test" only with --test.
	Action string
	Debug  bool // Debug says that the daemon logs everything to stderr.

	Foreground, Test, Help, Version bool
}

// ParseCommand parses a command line as ldirectord does. After an option for help or version, it
// does not read more words. It returns an error for an unknown option.
func ParseCommand(words []string) (Command, error) {
	c := Command{Words: words, Config: "ldirectord.cf", Instance: "ldirectord"}
	args := words[1:]
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		option := args[0]
		args = args[1:]
		if option == "--" {
			break
		}
		if err := c.set(option); err != nil || c.Help || c.Version {
			return c, err
		}
	}
	switch {
	case c.Test && len(args) < 2:
		args = append(args, "test")
	case c.Test:
		args = []string{args[0], "test"}
	}
	switch len(args) {
	case 0:
	case 1:
		c.Action = args[0]
	default:
		c.Config, c.Action = args[0], args[1]
		c.Instance = filepath.Base(c.Config)
	}
	if c.Action == "test" && !c.Test {
		c.Action = ""
	}
	return c, nil
}

// set applies an option such as -d or --debug, or a word with several short options such as -df.
func (c *Command) set(option string) error {
	letters := option[1:]
	if strings.HasPrefix(option, "--") {
		letters = cmp.Or(short(option[2:]), "-")
	}
	for _, letter := range letters {
		switch letter {
		case 'd':
			c.Debug, c.Foreground = true, true
		case 'f':
			c.Foreground = true
		case 't':
			c.Test = true
		case 'h', '?':
			c.Help = true
			return nil
		case 'v':
			c.Version = true
			return nil
		default:
			return fmt.Errorf("unknown option %s", option)
		}
	}
	return nil
}
