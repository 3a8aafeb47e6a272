package ocf

import (
	"strconv"
	"strings"
	"time"
)

// environment has the variables that a resource manager sets. Each variable can be missing: crm ra
// validate sets only OCF_ROOT and the parameters.
type environment map[string]string

func newEnvironment(environ []string) environment {
	env := make(environment, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

func (e environment) or(name, fallback string) string {
	if value := e[name]; value != "" {
		return value
	}
	return fallback
}

func (e environment) instance() string { return e.or("OCF_RESOURCE_INSTANCE", "default") }

func (e environment) reasonPrefix() string {
	return e.or("OCF_EXIT_REASON_PREFIX", "ocf-exit-reason:")
}

// probe reports whether a monitor is a probe. Only recurring monitors have an interval.
func (e environment) probe() bool {
	interval := e["OCF_RESKEY_CRM_meta_interval"]
	return interval == "" || interval == "0"
}

// cloneMax returns how many instances of a clone the cluster runs at most. It returns zero for a
// resource that is not a clone.
func (e environment) cloneMax() int {
	n, err := strconv.Atoi(e["OCF_RESKEY_CRM_meta_clone_max"])
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// defaultTimeout is the timeout that Pacemaker uses for an operation without a timeout.
const defaultTimeout = 20 * time.Second

// timeout returns the time that the cluster gives the action. The environment has milliseconds.
func (e environment) timeout() time.Duration {
	ms, err := strconv.ParseInt(e["OCF_RESKEY_CRM_meta_timeout"], 10, 64)
	const day = 24 * time.Hour
	if err != nil || ms <= 0 || ms > day.Milliseconds() {
		return defaultTimeout
	}
	return time.Duration(ms) * time.Millisecond
}

// level returns the check level. If an agent does not have a check of this level, it uses its next
// lower level.
func (e environment) level() int {
	level, err := strconv.Atoi(e["OCF_CHECK_LEVEL"])
	if err != nil || level < 0 {
		return 0
	}
	return level
}
