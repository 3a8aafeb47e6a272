// Package ocftest runs agents as a resource manager does, for their tests.
package ocftest

import (
	"bytes"
	"strings"

	"lvs-agents/ocf"
)

// Run executes one action of an agent as root. The action "probe" is a monitor that is a probe.
// Each of words is NAME=value. A word that begins with OCF_ is an environment variable, and every
// other word is a parameter. reason is the exit reason. log has the other lines of stderr, without
// their tags.
func Run(agent ocf.Agent, stateDir, instance, action string, words ...string) (code ocf.Code, reason, log string) {
	environ := []string{"OCF_RESOURCE_INSTANCE=" + instance, "OCF_RESKEY_CRM_meta_interval=10000"}
	if action == "probe" {
		action, environ[1] = "monitor", "OCF_RESKEY_CRM_meta_interval=0"
	}
	for _, word := range words {
		if !strings.HasPrefix(word, "OCF_") {
			word = "OCF_RESKEY_" + word
		}
		environ = append(environ, word)
	}
	var stdout, stderr bytes.Buffer
	code = ocf.Run(ocf.Process{
		Args: []string{agent.Metadata().Name, action}, Environ: environ, Stdout: &stdout, Stderr: &stderr, Root: true, StateDir: stateDir,
	}, agent)
	for line := range strings.Lines(stderr.String()) {
		if text, ok := strings.CutPrefix(line, "ocf-exit-reason:"); ok {
			reason = strings.TrimSpace(text)
			continue
		}
		_, text, _ := strings.Cut(line, "]: ")
		log += text
	}
	return code, reason, log
}
