package main

import "fmt"

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(sys system) error {
	_, err := fmt.Fprintln(sys.stdout, "lvsctl", sys.version)
	return err
}
