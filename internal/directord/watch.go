package directord

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/sirupsen/logrus"

	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
)

// settleTime is how long a file must remain unchanged before the daemon reads it, because editors
// write a file in several steps.
const settleTime = 200 * time.Millisecond

// pollInterval is the time between two polls of the configuration file. Network file systems send
// no notifications.
const pollInterval = 5 * time.Second

// watch reloads the configuration on SIGHUP. With autoreload, it also reloads when the content of
// the file has changed. It looks up host names without an address again.
func (s *server) watch(ctx context.Context, d *health.Daemon) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	events, closeWatcher := s.watchFiles()
	defer closeWatcher()
	settle := time.NewTimer(time.Hour)
	settle.Stop()
	file := watchedFile{path: s.config, files: s.source.files, log: s.log}
	file.changed(ctx) // The daemon has already loaded this version of the file. The call only stores its checksum.
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			s.log.Info(compat.ReloadLine)
			_ = s.reload(ctx, d) // the daemon has already logged the error and shows it in its status
			file.changed(ctx)
			continue
		case <-events:
			settle.Reset(settleTime)
			continue
		case <-settle.C:
		case <-ticker.C:
			if s.source.lookUpDue() {
				_ = d.Use(ctx, s.source.lookUpAgain) // the daemon has already logged the error and shows it in its status
			}
		}
		if file.changed(ctx) {
			s.fileChanged(ctx, d)
		}
	}
}

// watchFiles watches the directory of the configuration file. If the file is a symbolic link, it
// also watches the directory of the link's target. It watches directories because editors replace
// files. If the kernel sends no notifications, the daemon only polls.
func (s *server) watchFiles() (<-chan fsnotify.Event, func()) {
	if s.config == "" {
		return nil, func() {}
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warnf("%s cannot be watched, so it is only polled every %v: %v", s.config, pollInterval, err)
		return nil, func() {}
	}
	paths := []string{s.config}
	if target, err := filepath.EvalSymlinks(s.config); err == nil && target != s.config {
		paths = append(paths, target)
	}
	for _, path := range paths {
		if err := watcher.Add(filepath.Dir(path)); err != nil {
			s.log.Warnf("%s cannot be watched, so it is only polled every %v: %v", path, pollInterval, err)
		}
	}
	go func() {
		for range watcher.Errors { // An error means that notifications were lost. The next poll then finds the change.
		}
	}()
	return watcher.Events, func() { _ = watcher.Close() }
}

// watchedFile is the state of the configuration file at the last poll.
type watchedFile struct {
	path  string // path is the path of the file. It is empty for a daemon without a file.
	files *disk.Reader
	log   logrus.FieldLogger
	info  os.FileInfo
	sum   [sha256.Size]byte
	gone  bool
}

// changed reports whether the content of the file has changed since the last call.
func (w *watchedFile) changed(ctx context.Context) bool {
	if w.path == "" {
		return false
	}
	info, err := w.files.Stat(ctx, w.path)
	if errors.Is(err, fs.ErrNotExist) && !w.gone {
		w.gone = true
		w.log.Warnf("Configuration file '%s' does not exist any more; the configuration stays as it is", w.path)
	}
	if err != nil || w.untouched(info) {
		return false
	}
	text, err := w.files.Read(ctx, w.path)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(text)
	changed := w.info != nil && sum != w.sum
	w.info, w.sum, w.gone = info, sum, false
	return changed
}

// untouched reports whether the file has the same inode, time and size as at the last poll.
func (w *watchedFile) untouched(now os.FileInfo) bool {
	return w.info != nil && os.SameFile(now, w.info) && now.ModTime().Equal(w.info.ModTime()) && now.Size() == w.info.Size()
}

// fileChanged handles a changed file. As the configuration in use orders, it reloads the file, runs
// the callback, or both.
func (s *server) fileChanged(ctx context.Context, d *health.Daemon) {
	cfg := s.source.current()
	s.log.Info(compat.ChangedLine(s.config))
	if cfg != nil && cfg.AutoReload {
		s.log.Info(compat.RereadLine)
		_ = s.reload(ctx, d) // the daemon has already logged the error and shows it in its status
	} else {
		s.log.Info(compat.IgnoreLine)
	}
	if cfg != nil && cfg.Callback != "" {
		s.programs.run(ctx, cfg.Callback, s.config)
	}
}

// reload reads the configuration again. If the daemon accepts it, reload also reloads the instances
// that execute= names.
func (s *server) reload(ctx context.Context, d *health.Daemon) error {
	err := s.reloadOwn(ctx, d)
	if err == nil {
		s.executeAll(ctx, "reload")
	}
	return err
}

// reloadOwn reads the configuration of this instance again.
func (s *server) reloadOwn(ctx context.Context, d *health.Daemon) error {
	s.systemd.reloading()
	defer s.systemd.ready()
	return d.Reload(ctx)
}
