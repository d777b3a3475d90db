package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/hack/cluster/image"
)

// untar returns the members' content, and their headers.
func untar(t *testing.T, r io.Reader) (map[string][]byte, []*tar.Header) {
	t.Helper()
	content, headers := map[string][]byte{}, []*tar.Header(nil)
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return content, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		if content[h.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
		headers = append(headers, h)
	}
}

type descriptor struct {
	MediaType, Digest string
	Size              int
	Annotations       map[string]string
}

// TestLayoutHoldsWhatItSays follows the digests from the index to the file in the layer.
func TestLayoutHoldsWhatItSays(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("the program"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := image.Image{
		Names: []string{"example.com/a:1", "example.com/a:2"}, Entrypoint: []string{"/opt/bin/a"}, Cmd: []string{"run"}, User: "65532:65532",
		Files: []image.File{{From: program, To: "/opt/bin/a", Capability: 10}},
	}.Write(&out)
	if err != nil {
		t.Fatal(err)
	}
	members, _ := untar(t, &out)
	for name, content := range members {
		if sum, ok := strings.CutPrefix(name, "blobs/sha256/"); ok {
			if is := sha256.Sum256(content); hex.EncodeToString(is[:]) != sum {
				t.Errorf("%s has another digest", name)
			}
		}
	}
	blob := func(d descriptor, into any) []byte {
		t.Helper()
		content := members["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
		if len(content) != d.Size || d.Size == 0 {
			t.Fatalf("%+v has %d bytes", d, len(content))
		}
		if into != nil {
			if err := json.Unmarshal(content, into); err != nil {
				t.Fatal(err)
			}
		}
		return content
	}
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal(members["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range index.Manifests {
		names = append(names, m.Annotations["io.containerd.image.name"])
	}
	if !slices.Equal(names, []string{"example.com/a:1", "example.com/a:2"}) {
		t.Fatalf("the index names %q", names)
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	blob(index.Manifests[1], &manifest)
	var config struct {
		Config struct {
			Entrypoint, Cmd []string
			User            string
		}
		Rootfs struct {
			Diff []string `json:"diff_ids"`
		}
	}
	blob(manifest.Config, &config)
	if c := config.Config; !slices.Equal(c.Entrypoint, []string{"/opt/bin/a"}) || !slices.Equal(c.Cmd, []string{"run"}) || c.User != "65532:65532" {
		t.Errorf("the image runs %+v", c)
	}
	if len(manifest.Layers) != 1 || !slices.Equal(config.Rootfs.Diff, []string{manifest.Layers[0].Digest}) {
		t.Fatalf("layers %+v, of which the config says %v", manifest.Layers, config.Rootfs.Diff)
	}
	files, headers := untar(t, bytes.NewReader(blob(manifest.Layers[0], nil)))
	if string(files["opt/bin/a"]) != "the program" {
		t.Errorf("the layer holds %q", files)
	}
	var order []string
	for _, h := range headers {
		order = append(order, h.Name)
	}
	if !slices.Equal(order, []string{"tmp/", "etc/", "opt/", "opt/bin/", "opt/bin/a"}) {
		t.Errorf("a folder is to come before what is in it: %q", order)
	}
	// What `setcap cap_net_bind_service=+ep` leaves, read back with getfattr -e hex -n security.capability.
	const want = "0100000200040000000000000000000000000000"
	if got := hex.EncodeToString([]byte(headers[4].PAXRecords["SCHILY.xattr.security.capability"])); got != want {
		t.Errorf("the capability is stored as %s; want %s", got, want)
	}
}
