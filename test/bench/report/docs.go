package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The figures in docs/benchmarks.md stand between these lines.
const (
	begin = "<!-- figures: written by make bench -->"
	end   = "<!-- end of figures -->"
)

// Write puts the figures into benchmarks.md below a folder, and the plots beside it.
func (r *Report) Write(docs string) error {
	page := filepath.Join(docs, "benchmarks.md")
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text, err := replaceFigures(string(old), r.markdown())
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		return err
	}
	plots := r.plots()
	if len(plots) > 0 {
		if err := os.MkdirAll(filepath.Join(docs, "benchmarks"), 0o755); err != nil {
			return err
		}
	}
	for name, svg := range plots {
		if err := os.WriteFile(filepath.Join(docs, "benchmarks", name), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// replaceFigures puts figures between the marks of a page.
func replaceFigures(page, figures string) (string, error) {
	head, rest, ok := strings.Cut(page, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("it has no lines %q and %q", begin, end)
	}
	return head + begin + "\n\n" + strings.TrimSpace(figures) + "\n\n" + end + tail, nil
}

// markdown is the figures as a page shows them: the summary, the plots, a table for
// each scenario.
func (r *Report) markdown() string {
	var b strings.Builder
	for _, line := range r.origin() {
		b.WriteString(line + "\n")
	}
	if len(r.Scenarios) > 0 {
		b.WriteString("\n### Summary\n\nMedian CPU time per unit in microseconds. The comparison is with the best of the peers that the goal names.\n\n")
		writeTable(&b, r.summary().rows)
		for _, name := range plotNames(r.plots()) {
			fmt.Fprintf(&b, "\n![%s](benchmarks/%s)\n", plotTitle(name), name)
		}
	}
	for _, s := range r.Scenarios {
		t := s.table()
		fmt.Fprintf(&b, "\n### %s\n\n`%s`: %s\n\n", t.title, s.Name, strings.Join(t.notes, " "))
		writeTable(&b, t.rows)
	}
	for _, t := range r.parts() {
		fmt.Fprintf(&b, "\n### %s\n\n", t.title)
		if len(t.notes) > 0 {
			b.WriteString(strings.Join(t.notes, " ") + "\n\n")
		}
		writeTable(&b, t.rows)
	}
	return b.String()
}

func writeTable(b *strings.Builder, rows [][]string) {
	for i, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(b, "|%s\n", strings.Repeat(" --- |", len(row)))
		}
	}
}
