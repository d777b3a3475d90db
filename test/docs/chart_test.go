package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// chart is where the Helm chart is.
const chart = root + "/charts/gatehouse"

// value is one value of the chart: what stands in values.yaml below a comment.
type value struct {
	name, says, standard string
}

// values reads values.yaml. Whatever has a comment is one value, however much is in it.
func values(t *testing.T) (out []value) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(prefix string, m *yaml.Node)
	walk = func(prefix string, m *yaml.Node) {
		for i := 0; i+1 < len(m.Content); i += 2 {
			key, v := m.Content[i], m.Content[i+1]
			name := prefix + key.Value
			// A comment that a blank line follows belongs to the file.
			comments := strings.Split(key.HeadComment, "\n\n")
			says := strings.Join(strings.Fields(strings.ReplaceAll(comments[len(comments)-1], "#", " ")), " ")
			switch {
			case says != "":
				var standard any
				if err := v.Decode(&standard); err != nil {
					t.Fatal(err)
				}
				text, err := json.Marshal(standard)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, value{name, says, string(text)})
			case v.Kind == yaml.MappingNode:
				walk(name+".", v)
			default:
				t.Errorf("values.yaml:%d: %s has no comment above it", key.Line, name)
			}
		}
	}
	walk("", document.Content[0])
	return out
}

func TestInstallListsEveryValueOfTheChart(t *testing.T) {
	var b strings.Builder
	b.WriteString("\n| Value | Default | What for |\n|---|---|---|\n")
	all := values(t)
	for _, v := range all {
		standard := "`" + v.standard + "`"
		if v.standard == `""` {
			standard = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.name, standard, strings.ReplaceAll(v.says, "|", `\|`))
	}
	want := b.String() + "\n"
	if got := generated(t, "docs/install.md", want); got != want {
		t.Errorf("docs/install.md is not what values.yaml says; run go test ./test/docs -update\n got %s\nwant %s", got, want)
	}
	if len(all) < 40 {
		t.Errorf("found %d values", len(all))
	}
}

// schema is what of values.schema.json leads from a value to the next.
type schema struct {
	Properties map[string]schema `json:"properties"`
}

// TestSchemaKnowsEveryValue proves that the schema has each value and no other. That it refuses wrong ones is for the tests with Helm.
func TestSchemaKnowsEveryValue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chart, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var top schema
	if err := json.Unmarshal(text, &top); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"global": true} // Helm's own, for charts that hold others
	for _, v := range values(t) {
		at := top
		for _, part := range strings.Split(v.name, ".") {
			next, ok := at.Properties[part]
			if !ok {
				t.Errorf("values.schema.json lacks %s", v.name)
			}
			at = next
		}
		known[v.name] = true
	}
	var walk func(prefix string, s schema)
	walk = func(prefix string, s schema) {
		for name, next := range s.Properties {
			if name = prefix + name; known[name] {
				continue
			}
			if len(next.Properties) == 0 {
				t.Errorf("values.schema.json knows %s, which values.yaml does not have", name)
			}
			walk(name+".", next)
		}
	}
	walk("", top)
}

var series = regexp.MustCompile(`\bgatehouse_[a-z_]+`)

// shown is the series that files of the chart name, which docs/metrics.md has, and that is compared with the code.
func shown(t *testing.T, pattern string, check func(text []byte) error) map[string]bool {
	files, err := filepath.Glob(filepath.Join(chart, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d files: %v", len(files), err)
	}
	told := page(t, "docs/metrics.md")
	all := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range series.FindAllString(string(text), -1) {
			s = strings.TrimSuffix(s, "_bucket")
			all[s] = true
			if !strings.Contains(told, "| `"+s+"` |") {
				t.Errorf("%s shows %s, which docs/metrics.md does not have", filepath.Base(name), s)
			}
		}
	}
	return all
}

func TestDashboardsShowSeriesThereAre(t *testing.T) {
	all := shown(t, "files/dashboards/*.json", func(text []byte) error { return json.Unmarshal(text, new(any)) })
	if len(all) < 20 {
		t.Errorf("the dashboards show %d series", len(all))
	}
}

// TestAlertsSayWhatToDo reads the alerts as Prometheus does, but for the expressions.
func TestAlertsSayWhatToDo(t *testing.T) {
	type alert struct {
		Alert, Expr, For    string
		Labels, Annotations map[string]string
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	all := shown(t, "files/alerts/*.yaml", func(text []byte) error {
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		return d.Decode(&rules)
	})
	if len(all) < 10 || len(rules.Groups) != 1 {
		t.Fatalf("the alerts look at %d series, in %d groups", len(all), len(rules.Groups))
	}
	for _, a := range rules.Groups[0].Rules {
		severity := a.Labels["severity"]
		if a.Expr == "" || a.Annotations["summary"] == "" || a.Annotations["description"] == "" || severity != "critical" && severity != "warning" {
			t.Errorf("%+v", a)
		}
	}
}

var set = regexp.MustCompile(`--set(?:-string)? ([a-zA-Z.]+)=`)

// installs checks a helm command of a page: the chart is there, and has the values that are set.
func installs(t *testing.T, words []string) error {
	t.Helper()
	for _, word := range words {
		if strings.HasPrefix(word, "charts/") {
			if _, err := os.Stat(filepath.Join(root, word, "Chart.yaml")); err != nil {
				return err
			}
		}
	}
	for _, m := range set.FindAllStringSubmatch(strings.Join(words, " "), -1) {
		if !slices.ContainsFunc(values(t), func(v value) bool { return v.name == m[1] }) {
			return fmt.Errorf("the chart has no value %s", m[1])
		}
	}
	return nil
}
