package golden

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestRefused shows what is said of objects that an API server refuses.
func TestRefused(t *testing.T) {
	files, reader, _ := stage(t, "testdata/refused/*.txtar")
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := section(archive, "manifests.yaml")
			taken, problems := reader.Parse(name, text)
			for _, m := range taken {
				t.Errorf("%s is taken", m.Name())
			}
			var said strings.Builder
			for _, p := range problems {
				said.WriteString(p.String() + "\n")
			}
			if *update {
				archive.Files = []txtar.File{{Name: "manifests.yaml", Data: text}, {Name: "problems", Data: []byte(said.String())}}
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := section(archive, "problems"); !bytes.Equal([]byte(said.String()), want) {
				t.Errorf("got:\n%s\nwant:\n%s", said.String(), want)
			}
		})
	}
}
