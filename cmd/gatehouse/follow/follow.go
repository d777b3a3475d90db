// Package follow tells of changes of files, by what their paths come to name.
//
// cmd/gatehouse/command follows the manifests of `standalone` with it.
package follow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
)

// settle is how long files must have been left alone before they are read: an
// editor writes, renames and sets times in one burst.
const settle = 10 * time.Millisecond

// follower watches what paths name. The system tells of folders, by what they are and not
// by their names: so the folder around each path is watched too, which tells when the path
// comes to name something else.
type follower struct {
	*fsnotify.Watcher
	paths   []string
	folders map[string]bool // of which every entry concerns us
	entries map[string]bool // of other folders, those that do
}

// Files calls changed when something below the paths has changed, until
// ctx ends. It watches folders, since editors replace files.
func Files(ctx context.Context, paths []string, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching files: %w", plainly(err))
	}
	defer func() { _ = w.Close() }()
	f := &follower{Watcher: w}
	for _, path := range paths {
		if path == manifests.Stdin {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			return fmt.Errorf("watching files: %w", err)
		}
		if at, err := os.Stat(path); err == nil && !at.IsDir() && !at.Mode().IsRegular() {
			return fmt.Errorf("%s is no file that can be followed; give what a pipe brings by --filename -", path)
		}
		f.paths = append(f.paths, path)
	}
	if err := f.look(); err != nil {
		return err
	}
	var quiet <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.Events:
			if quiet == nil && f.concerns(e.Name) {
				quiet = time.After(settle)
			}
		case <-w.Errors: //nolint:errcheck // whatever it was, events were lost: read everything to be sure
			quiet = time.After(settle)
		case <-quiet:
			quiet = nil
			// What cannot be watched just now is named by changed, and what is around
			// it tells when it is back.
			_ = f.look()
			changed()
		}
	}
}

// concerns says whether an event of that name is about what the paths name.
func (f *follower) concerns(name string) bool {
	return f.folders[filepath.Dir(name)] || f.folders[name] || f.entries[name]
}

// look watches what the paths name now, and what is around them.
func (f *follower) look() (first error) {
	f.folders, f.entries = map[string]bool{}, map[string]bool{}
	for _, path := range f.paths {
		if err := errors.Join(f.links(path), f.below(path)); err != nil && first == nil {
			first = fmt.Errorf("watching %s: %w", path, plainly(err))
		}
	}
	return first
}

// links watches what is around path, and around each link on the way to it.
func (f *follower) links(path string) error {
	all := []error{f.around(path)}
	for on := filepath.Dir(path); on != filepath.Dir(on); on = filepath.Dir(on) {
		if at, err := os.Lstat(on); err == nil && at.Mode()&fs.ModeSymlink != 0 {
			all = append(all, f.around(on))
		}
	}
	return errors.Join(all...)
}

// around watches the folder that path is in, or the nearest above it that there is, by its
// real name: under two names the system would tell of one only.
func (f *follower) around(path string) error {
	for {
		folder, err := filepath.EvalSymlinks(filepath.Dir(path))
		if errors.Is(err, fs.ErrNotExist) {
			path = filepath.Dir(path)
			continue
		}
		if err != nil {
			return err
		}
		f.entries[filepath.Join(folder, filepath.Base(path))] = true
		return f.Add(folder)
	}
}

// below watches each folder that path names or holds, and where links in them lead.
func (f *follower) below(path string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if err := f.around(path); err != nil {
		return err
	}
	return filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			f.folders[name] = true
			return f.Add(name)
		case d.Type()&fs.ModeSymlink != 0:
			if target, err := filepath.EvalSymlinks(name); err == nil { // else reading it says so
				return f.around(target)
			}
		}
		return nil
	})
}

// plainly adds to what the system says when it has no room for another watch.
func plainly(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w; raise the sysctl fs.inotify.max_user_watches", err)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%w; raise the sysctl fs.inotify.max_user_instances, or ulimit -n", err)
	}
	return err
}
