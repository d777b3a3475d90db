package follow

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFoldersAreFollowedByName: what a path comes to name is followed, whatever became of
// what it named before.
func TestFoldersAreFollowedByName(t *testing.T) {
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(name string) {
		t.Helper()
		must(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(time.Now().String()), 0o600))
	}
	for name, f := range map[string]struct {
		path   string // below the top, where first/m/a.yaml is, link leads to first, and file to first/m/a.yaml
		change func(top string)
		last   string // the file to change after that
	}{
		"made again":                 {"first/m", func(top string) { must(os.RemoveAll(top + "/first/m")); write(top + "/first/m/a.yaml") }, "first/m/a.yaml"},
		"made again, its folder too": {"first/m", func(top string) { must(os.RemoveAll(top + "/first")); write(top + "/first/m/a.yaml") }, "first/m/a.yaml"},
		"another in its place": {"first/m", func(top string) {
			write(top + "/second/a.yaml")
			must(os.Rename(top+"/first/m", top+"/old"), os.Rename(top+"/second", top+"/first/m"))
		}, "first/m/a.yaml"},
		"a link on the way leads elsewhere": {"link/m", func(top string) {
			write(top + "/second/m/a.yaml")
			must(os.Symlink("second", top+"/next"), os.Rename(top+"/next", top+"/link"))
		}, "second/m/a.yaml"},
		"a link to a file leads elsewhere": {"file", func(top string) {
			write(top + "/second/a.yaml")
			must(os.Symlink("second/a.yaml", top+"/next"), os.Rename(top+"/next", top+"/file"))
		}, "second/a.yaml"},
		"behind a link": {"file", func(top string) { write(top + "/first/m/a.yaml") }, "first/m/a.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			top, err := filepath.EvalSymlinks(t.TempDir())
			must(err)
			write(top + "/first/m/a.yaml")
			must(os.Symlink("first", top+"/link"), os.Symlink("first/m/a.yaml", top+"/file"))
			ctx, end := context.WithCancel(t.Context())
			seen, ended := make(chan struct{}, 100), make(chan error, 1)
			go func() {
				ended <- Files(ctx, []string{filepath.Join(top, f.path)}, func() { seen <- struct{}{} })
			}()
			change := func(what string, change func()) {
				t.Helper()
				time.Sleep(5 * settle) // until it watches, and until it is still again
				for len(seen) > 0 {
					<-seen
				}
				change()
				select {
				case <-seen:
				case err := <-ended:
					t.Fatal(err)
				case <-time.After(5 * time.Second):
					t.Fatalf("%s: not seen", what)
				}
			}
			change("the change", func() { f.change(top) })
			change("what came after it", func() { write(filepath.Join(top, f.last)) })
			time.Sleep(5 * settle)
			for len(seen) > 0 {
				<-seen
			}
			write(top + "/beside.yaml")
			time.Sleep(5 * settle)
			if len(seen) > 0 {
				t.Error("a file beside the path is none of ours")
			}
			end()
			must(<-ended)
		})
	}
}

// TestPipesAreNotFollowed: one gives what it has once, and the next reading would find nothing.
func TestPipesAreNotFollowed(t *testing.T) {
	if err := Files(t.Context(), []string{os.DevNull}, func() {}); err == nil || !strings.Contains(err.Error(), "--filename -") {
		t.Error(err)
	}
}
