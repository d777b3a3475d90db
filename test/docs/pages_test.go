package docs

import (
	"flag"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

// root is the repository.
const root = "../.."

var update = flag.Bool("update", false, "write the lists that are made from the code")

// pages are the texts that are checked, relative to root.
func pages(t *testing.T) []string {
	t.Helper()
	out := []string{"README.md"}
	for folder, least := range map[string]int{"docs": 8, policyPages: 15} {
		found, err := filepath.Glob(filepath.Join(root, folder, "*.md"))
		if err != nil || len(found) < least {
			t.Fatalf("found %d pages in %s: %v", len(found), folder, err)
		}
		for _, name := range found {
			out = append(out, folder+"/"+filepath.Base(name))
		}
	}
	slices.Sort(out)
	return out
}

// policyPages holds a page for each thing a policy can ask for; docs/policies.md
// links to all of them.
const policyPages = "docs/policies"

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced block.
type block struct {
	page, language, text string
	line                 int
}

// blocks takes a page's fenced blocks out of it.
func blocks(t *testing.T, name string) (out []block) {
	t.Helper()
	var open *block
	for i, line := range strings.Split(page(t, name), "\n") {
		fence, language, _ := strings.Cut(strings.TrimSpace(line), "```")
		switch {
		case fence == "" && strings.HasPrefix(strings.TrimSpace(line), "```") && open == nil:
			open = &block{page: name, language: language, line: i + 1}
		case strings.TrimSpace(line) == "```":
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: a block is not closed", name, open.line)
	}
	return out
}

func TestBlocksAreMarked(t *testing.T) {
	known := map[string]bool{"sh": true, "text": true, "yaml": true, "json": true, "mermaid": true}
	for _, name := range pages(t) {
		for _, b := range blocks(t, name) {
			if !known[b.language] {
				t.Errorf("%s:%d: a block is marked %q; mark commands sh, what they print text, manifests yaml", name, b.line, b.language)
			}
		}
	}
}

func TestManifestsAreGood(t *testing.T) {
	reader, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	objects := 0
	for _, name := range pages(t) {
		for _, b := range blocks(t, name) {
			if b.language != "yaml" {
				continue
			}
			ms, problems := reader.Parse(name, []byte(b.text))
			objects += len(ms)
			for _, p := range problems {
				p.Line += b.line
				t.Error(p)
			}
			if len(ms) == 0 {
				t.Errorf("%s:%d: a yaml block without an object that Gatehouse reads", name, b.line)
			}
		}
	}
	if objects == 0 {
		t.Error("no page has a manifest")
	}
}

var (
	link    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	unslug  = regexp.MustCompile("[^a-z0-9 _-]")
)

// anchors are the fragments that a page's headings make.
func anchors(t *testing.T, name string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(page(t, name), -1) {
		slug := unslug.ReplaceAllString(strings.ToLower(m[1]), "")
		out[strings.ReplaceAll(slug, " ", "-")] = true
	}
	return out
}

func TestLinksLeadSomewhere(t *testing.T) {
	links := 0
	for _, name := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(page(t, name), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.HasPrefix(target, "https://") || strings.HasPrefix(target, "http://") {
				continue
			}
			links++
			at := name
			if target != "" {
				at = filepath.Join(filepath.Dir(name), target)
			}
			if _, err := os.Stat(filepath.Join(root, at)); err != nil {
				t.Errorf("%s: link to %s, which does not exist", name, m[1])
			} else if fragment != "" && !anchors(t, at)[fragment] {
				t.Errorf("%s: link to %s, which has no such heading", name, m[1])
			}
		}
	}
	if links < 40 {
		t.Errorf("found %d links; docs/architecture.md alone has more", links)
	}
}

func TestPagesHaveATitleAndAWayIn(t *testing.T) {
	for _, name := range pages(t) {
		if first, _, _ := strings.Cut(page(t, name), "\n"); !strings.HasPrefix(first, "# ") {
			t.Errorf("%s starts with %q, not with its title", name, first)
		}
		if n := len(regexp.MustCompile(`(?m)^# `).FindAllString(withoutBlocks(t, name), -1)); n != 1 {
			t.Errorf("%s has %d titles", name, n)
		}
		from, to := "README.md", name
		if path.Dir(name) == policyPages {
			from, to = "docs/policies.md", strings.TrimPrefix(name, "docs/")
		}
		if name != from && !strings.Contains(page(t, from), "("+to+")") {
			t.Errorf("%s does not link to %s", from, name)
		}
	}
}

func withoutBlocks(t *testing.T, name string) string {
	t.Helper()
	text := page(t, name)
	for _, b := range blocks(t, name) {
		text = strings.Replace(text, b.text, "", 1)
	}
	return text
}

// generated is the part of a page between its marks, without them; with -update
// it is written.
func generated(t *testing.T, name, want string) string {
	t.Helper()
	const begin, end = "<!-- made from the code by: go test ./test/docs -update -->\n", "<!-- end -->"
	text := page(t, name)
	before, rest, ok := strings.Cut(text, begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the lines %q and %q", name, begin, end)
	}
	if *update && got != want {
		if err := os.WriteFile(filepath.Join(root, name), []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return want
	}
	return got
}
