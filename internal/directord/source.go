package directord

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/config/params"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
	"lvs-agents/internal/state/record"
)

// loadTimeout is how long a daemon can take to read its configuration and to look up the names in
// it.
const loadTimeout = 10 * time.Second

// source reads the configuration of a daemon, and stores the configuration that the daemon has
// accepted.
type source struct {
	options
	files *disk.Reader
	store record.Store
	names *config.Names
	log   logrus.FieldLogger
	// lines is the log of the daemon. It writes to the logfile of the configuration.
	lines *compat.Log

	// sum is the digest of the file that was read last.
	sum atomic.Pointer[string]
	// accepted is the configuration that the daemon uses. It is nil until the daemon has accepted one.
	accepted atomic.Pointer[reading]
	read     atomic.Pointer[reading] // read is the configuration that load has read last. The daemon may have refused it.
	// lookedUp is the time of the last look-up of names without an address.
	lookedUp time.Time
}

// reading is a configuration that was read, with the faults that were found in it.
type reading struct {
	cfg *config.Config
	// refused are the problems of refused parts. The real servers of these parts are never good.
	refused []string
	unknown []config.Host // unknown are the host names that have never had an address.
	// problems are the problems of the configuration after its names were looked up.
	problems []config.Problem
}

// current returns the configuration that the daemon uses. It returns nil before the first one was
// accepted.
func (s *source) current() *config.Config {
	if r := s.accepted.Load(); r != nil {
		return r.cfg
	}
	return nil
}

// digest returns a digest of the file that was read last. It returns a hyphen for the configuration
// of an ipvs resource.
func (s *source) digest() string {
	sum := s.sum.Load()
	if sum == nil {
		return "-"
	}
	return *sum
}

// load reads the configuration and looks up the host names in it.
func (s *source) load(ctx context.Context) (health.Setup, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	r, err := s.parsed(ctx)
	if err != nil {
		return health.Setup{}, err
	}
	if old := s.current(); s.purge && len(r.cfg.Services) == 0 && old != nil && len(old.Services) > 0 {
		return health.Setup{}, fmt.Errorf("%s has no virtual service any more; stop the daemon if you want no service", r.cfg.File)
	}
	setup, err := health.NewSetup(ctx, r.cfg, s.names)
	if err == nil {
		r.unknown = s.names.Unknown()
		err = s.newUnknown(r.unknown, setup.Problems)
	}
	s.read.Store(r)
	return setup, err
}

// accept makes the daemon use the configuration that was read last.
func (s *source) accept(setup health.Setup) {
	r := *s.read.Load()
	r.problems = setup.Problems
	s.accepted.Store(&r)
	if err := s.names.Save(s.stateDir); err != nil {
		s.log.Warn(err)
	}
	s.lines.To(r.cfg.LogFile)
}

// parsed reads and validates the configuration. It logs the warnings about each version of the file
// once.
func (s *source) parsed(ctx context.Context) (*reading, error) {
	if s.ipvs != "" {
		return s.ofResource()
	}
	file, err := load.File(ctx, s.files, s.config)
	if err != nil {
		return nil, err
	}
	sum := load.Digest(file.Text)
	known := s.sum.Swap(&sum)
	cfg := file.Config
	if err := config.Err(file.Problems); err != nil {
		return nil, err
	}
	if !s.purge && len(cfg.Services) == 0 {
		return nil, fmt.Errorf("%s has no virtual service; add virtual=ADDRESS:PORT", file.Path)
	}
	if known == nil {
		s.lines.To(cfg.LogFile) // This call is for the first version of the file. For later versions, accept sets the log target.
	}
	if known == nil || *known != sum {
		s.logProblems(file.Path, file.Problems)
	}
	return &reading{cfg: cfg, refused: refused(file.Problems)}, s.newRefused(file.Problems)
}

// ofResource returns the services in the record of an ipvs resource, with the check settings from
// the command line of the daemon.
func (s *source) ofResource() (*reading, error) {
	held, err := s.store.Load(s.ipvs)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("resource %s has no virtual services on this node; start it first", s.ipvs)
	}
	if err != nil {
		return nil, err
	}
	cfg, err := params.WithChecks(s.name(), held.Services, s.checks)
	return &reading{cfg: cfg}, err
}

// logProblems logs the warnings about a configuration file, and the parts of it that are refused.
func (s *source) logProblems(path string, problems []config.Problem) {
	for _, p := range problems {
		if p.Severity == config.Refused {
			s.log.Error(compat.ProblemLine("Error", os.Getpid(), path, p.Line, withoutPosition(p)))
			continue
		}
		s.log.Warn(compat.ProblemLine("Warning", os.Getpid(), path, p.Line, withoutPosition(p)))
	}
}

func withoutPosition(p config.Problem) string {
	return strings.TrimPrefix(p.String(), p.Position()+": ")
}

// refused returns the problems of refused parts. The real servers of a refused part are never good.
func refused(problems []config.Problem) (texts []string) {
	for _, p := range problems {
		if p.Severity == config.Refused {
			texts = append(texts, withoutPosition(p))
		}
	}
	return texts
}

// newRefused returns the first refused part that the configuration in use does not have. With this
// error a reload fails, so that a mistake in an edited file does not make working real servers bad.
func (s *source) newRefused(problems []config.Problem) error {
	before := s.accepted.Load()
	if before == nil {
		return nil
	}
	for _, p := range problems {
		if p.Severity == config.Refused && !slices.Contains(before.refused, withoutPosition(p)) {
			return errors.New(p.String())
		}
	}
	return nil
}

// newUnknown returns the problem of a new host name that has never had an address. In an edited
// file, this name is a mistake of the operator and not a change of the DNS.
func (s *source) newUnknown(unknown []config.Host, problems []config.Problem) error {
	before := s.accepted.Load()
	if before == nil {
		return nil
	}
	for _, p := range problems {
		isNamed := func(h config.Host) bool {
			return !slices.Contains(before.unknown, h) && strings.Contains(p.What, " "+h.Name+": ")
		}
		if slices.ContainsFunc(unknown, isNamed) {
			return errors.New(p.String())
		}
	}
	return nil
}

// lookUpInterval is the time between two look-ups of names that have no address.
const lookUpInterval = time.Minute

// lookUpDue reports whether host names of the configuration in use have no address, and the time
// for the next look-up has come.
func (s *source) lookUpDue() bool {
	if s.current() == nil || !s.names.Missing() || time.Since(s.lookedUp) < lookUpInterval {
		return false
	}
	s.lookedUp = time.Now()
	return true
}

// lookUpAgain returns the configuration in use with the current addresses of its host names.
// Without a change, it returns health.ErrUnchanged. It does not read the file, because an operator
// can have edited the file without a reload.
func (s *source) lookUpAgain(ctx context.Context) (health.Setup, error) {
	r := *s.accepted.Load()
	setup, err := health.NewSetup(ctx, r.cfg, s.names)
	if err != nil || slices.Equal(setup.Problems, r.problems) {
		return setup, health.ErrUnchanged
	}
	s.log.Info("Host names have new addresses; the daemon uses them")
	r.unknown = s.names.Unknown()
	s.read.Store(&r)
	return setup, nil
}
