package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"lvs-agents/internal/health"
)

// quiet is how long a file must stay as it is before it is read: editors write
// in several steps.
const quiet = 200 * time.Millisecond

// slowly is how often files are looked at without a notification: network file
// systems send none.
const slowly = 5 * time.Second

// watch reloads on SIGHUP and, with autoreload, when the file has other bytes.
func (s *serving) watch(ctx context.Context, d *health.Daemon) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	ticker := time.NewTicker(slowly)
	defer ticker.Stop()
	events, closeWatcher := s.watchFiles()
	defer closeWatcher()
	settle := time.NewTimer(time.Hour)
	settle.Stop()
	file := change{serving: s}
	file.look(ctx) // what is there now was read
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			s.log.Info("Reloading Linux Director Daemon config on signal")
			_ = s.reload(ctx, d) // an error was logged and is in the status
			file.look(ctx)
			continue
		case <-events:
			settle.Reset(quiet)
			continue
		case <-settle.C:
		case <-ticker.C:
			s.lookUpAgain(ctx, d)
		}
		if file.look(ctx) {
			s.changed(ctx, d)
		}
	}
}

// watchFiles watches the directories of the file and of what it is a link to,
// since editors replace files. Without notifications the slow look is left.
func (s *serving) watchFiles() (<-chan fsnotify.Event, func()) {
	if s.config == "" {
		return nil, func() {}
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warnf("%s is looked at every %v only: %v", s.config, slowly, err)
		return nil, func() {}
	}
	paths := []string{s.config}
	if target, err := filepath.EvalSymlinks(s.config); err == nil && target != s.config {
		paths = append(paths, target)
	}
	for _, path := range paths {
		if err := watcher.Add(filepath.Dir(path)); err != nil {
			s.log.Warnf("%s is looked at every %v only: %v", path, slowly, err)
		}
	}
	go func() {
		for range watcher.Errors { // an overflow: the slow look finds what was missed
		}
	}()
	return watcher.Events, func() { _ = watcher.Close() }
}

// change knows the file as it was seen last.
type change struct {
	serving *serving
	info    os.FileInfo
	sum     [sha256.Size]byte
	gone    bool
}

// look tells whether the file has other bytes than when it was seen last.
func (c *change) look(ctx context.Context) bool {
	if c.serving.config == "" {
		return false
	}
	info, err := c.serving.files.Stat(ctx, c.serving.config)
	if errors.Is(err, fs.ErrNotExist) && !c.gone {
		c.gone = true
		c.serving.log.Warnf("Configuration file '%s' does not exist any more; the configuration stays as it is", c.serving.config)
	}
	if err != nil || same(info, c.info) {
		return false
	}
	text, err := c.serving.files.Read(ctx, c.serving.config)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(text)
	changed := c.info != nil && sum != c.sum
	c.info, c.sum, c.gone = info, sum, false
	return changed
}

// changed does what the running configuration wants done about a changed file.
func (s *serving) changed(ctx context.Context, d *health.Daemon) {
	cfg := s.file.Load()
	s.log.Infof("Configuration file '%s' has changed on disk", s.config)
	if cfg != nil && cfg.AutoReload {
		s.log.Info(" - reread new configuration")
		_ = s.reload(ctx, d) // an error was logged and is in the status
	} else {
		s.log.Info(" - ignore new configuration")
	}
	if cfg != nil && cfg.Callback != "" {
		s.programs.run(ctx, cfg.Callback, s.config)
	}
}

// reload reads the configuration again, and lets the instances of execute= do so.
func (s *serving) reload(ctx context.Context, d *health.Daemon) error {
	err := s.reloadOwn(ctx, d)
	if err == nil {
		s.executeAll(ctx, "reload")
	}
	return err
}

// later is how long names without an address wait until they are looked up again.
const later = time.Minute

// lookUpAgain looks up the names of the configuration that counts, if some had no
// address. It reads no file: that may have changed, unasked.
func (s *serving) lookUpAgain(ctx context.Context, d *health.Daemon) {
	if s.file.Load() == nil || !s.names.Missing() || time.Since(s.lookedUp) < later {
		return
	}
	s.lookedUp = time.Now()
	_ = d.Use(ctx, s.relookup) // an error was logged and is in the status
}

// relookup is the configuration that counts with the addresses of now.
func (s *serving) relookup(ctx context.Context) (health.Setup, error) {
	cfg := s.file.Load()
	setup, err := health.NewSetup(ctx, cfg, s.names)
	if err != nil || slices.Equal(setup.Problems, s.known) {
		return setup, health.ErrUnchanged
	}
	s.log.Info("Names have other addresses than before")
	s.read, s.refused, s.unknown = cfg, s.refusedBefore, s.names.Unknown()
	return setup, nil
}

// reloadOwn reads the configuration again.
func (s *serving) reloadOwn(ctx context.Context, d *health.Daemon) error {
	s.notifyReloading()
	defer s.notifyReady()
	return d.Reload(ctx)
}
