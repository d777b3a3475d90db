package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	enters     = regexp.MustCompile(`kubectl .*exec .*-- (\S+)`)
	entrypoint = regexp.MustCompile(`(?m)^ENTRYPOINT \["([^"]+)"\]$`)
	searched   = regexp.MustCompile(`(?m)^ENV PATH=(\S+)$`)
)

// TestImageFindsItsProgram compares what pages run in a pod with what the image has, and where it looks for it: there is no shell, and without
// a PATH of the image's own its builder sets one that the program is not on.
func TestImageFindsItsProgram(t *testing.T) {
	image, err := os.ReadFile(root + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	program, folders := entrypoint.FindSubmatch(image), searched.FindSubmatch(image)
	if program == nil || folders == nil {
		t.Fatal("the Dockerfile has no ENTRYPOINT or no ENV PATH")
	}
	folder, name := path.Split(string(program[1]))
	if !slices.Contains(strings.Split(string(folders[1]), ":"), path.Clean(folder)) {
		t.Errorf("%s is not found by the image's PATH, %s", name, folders[1])
	}
	pages, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range enters.FindAllSubmatch(text, -1) {
			if found++; string(m[1]) != name {
				t.Errorf("%s runs %s in a pod, and the image has %s alone", filepath.Base(page), m[1], name)
			}
		}
	}
	if found < 2 {
		t.Errorf("%d commands are run in pods; asking.md has two", found)
	}
}
